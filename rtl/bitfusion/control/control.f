// Sources of bf_control in compile order, relative to this file.
../../common/fifo.sv
../bf_pkg.sv
bf_control_pkg.sv
bf_regs.sv
bf_counters.sv
bf_fetch.sv
bf_decode.sv
bf_semaphores.sv
bf_read_port.sv
bf_load_engine.sv
bf_load_write.sv
bf_run_check.sv
bf_exec_engine.sv
bf_supervisor.sv
bf_control.sv
