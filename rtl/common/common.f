// Small parts shared by designs, relative to this file.
fifo.sv
uart_tx.sv
uart_rx.sv
wb_ram.sv
wb_arbiter.sv
