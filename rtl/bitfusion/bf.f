// Sources of bf_top in compile order, relative to this file (hil.harness.runner.read_file_list).
-f control/control.f
-f ../common/fusion.f
-f gather/bf_front.f
-f bf_back.f
bf_exec.sv
bf_top.sv
