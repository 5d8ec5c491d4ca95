// The SoC with its core's pins moved by cocotb (vexii_pins.sv), and beside it a UART in byte mode with its register port.
module soc_bench (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        uart_rx_i,
  output logic        uart_tx_o,
  input  logic [31:0] gpio_i,
  output logic [31:0] gpio_o,
  output logic        fault_o,

  input  logic        valid_i,
  input  logic        we_i,
  input  logic [11:2] adr_i,
  input  logic [31:0] wdata_i,
  output logic [31:0] rdata_o,
  output logic        irq_o,
  input  logic        byte_rx_valid_i,
  input  logic [7:0]  byte_rx_data_i,
  output logic        byte_rx_take_o,
  output logic        byte_rx_status_o,
  output logic        byte_rx_irq_enable_o,
  output logic        byte_tx_valid_o,
  output logic [7:0]  byte_tx_data_o
);

  logic        unused, take, status, irq_enable, tx_valid, timer_read, tx_line;
  logic [7:0]  tx_data;
  logic [31:2] fault_adr;

  assign unused = ^{take, status, irq_enable, tx_valid, timer_read, tx_line, tx_data, fault_adr};

  soc_top #(
    .CpuKind      (soc_pkg::CpuVexiiRiscv),
    .FetchIdWidth (1),
    .LsuIdWidth   (2),
    .RamBytes     (64 * 1024),
    .RamLatency   (2),
    .BuildId      (32'h1234_ABCD),
    .UartByteMode (1'b0)
  ) u_soc (
    .clk_i,
    .rst_ni,
    .uart_rx_i,
    .uart_tx_o,
    .gpio_i,
    .gpio_o,
    .byte_rx_valid_i      (1'b0),
    .byte_rx_data_i       (8'd0),
    .byte_rx_take_o       (take),
    .byte_rx_status_o     (status),
    .byte_rx_irq_enable_o (irq_enable),
    .byte_tx_valid_o      (tx_valid),
    .byte_tx_data_o       (tx_data),
    .timer_read_o         (timer_read),
    .fault_o,
    .fault_adr_o          (fault_adr)
  );

  soc_uart #(.ByteMode(1'b1)) u_byte_uart (
    .clk_i,
    .rst_ni,
    .valid_i,
    .we_i,
    .adr_i,
    .wdata_i,
    .rdata_o,
    .irq_o,
    .rx_i (1'b1),
    .tx_o (tx_line),
    .byte_rx_valid_i,
    .byte_rx_data_i,
    .byte_rx_take_o,
    .byte_rx_status_o,
    .byte_rx_irq_enable_o,
    .byte_tx_valid_o,
    .byte_tx_data_o
  );

endmodule
