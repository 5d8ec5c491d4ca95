// Sources of bf_top in compile order, relative to this file: verilator -F rtl/bitfusion/bf.f
../common/fifo.sv
bf_pkg.sv
control/bf_control_pkg.sv
control/bf_regs.sv
control/bf_counters.sv
control/bf_fetch.sv
control/bf_decode.sv
control/bf_semaphores.sv
control/bf_read_port.sv
control/bf_load_engine.sv
control/bf_load_write.sv
control/bf_run_check.sv
control/bf_exec_engine.sv
control/bf_supervisor.sv
control/bf_control.sv
