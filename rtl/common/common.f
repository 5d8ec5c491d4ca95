// Small parts shared by designs, relative to this file.
clock_gate.sv
fifo.sv
uart_tx.sv
uart_rx.sv
dual_port_ram.sv
wb_arbiter.sv
