// Sources of bf_top in compile order, relative to this file: verilator -F rtl/bitfusion/bf.f
-f control/control.f
../common/bit_brick.sv
../common/fusion_unit.sv
-f gather/gather.f
-f bf_back.f
bf_exec.sv
bf_top.sv
