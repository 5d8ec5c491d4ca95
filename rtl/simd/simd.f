// Sources of simd_unit in compile order, relative to this file: verilator -F rtl/simd/simd.f
simd_pkg.sv
simd_decode.sv
simd_widen.sv
simd_dot.sv
simd_unit.sv
