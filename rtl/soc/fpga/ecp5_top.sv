// The SoC on an ECP5: block RAM only. The RAM (one wait state) is what fits beside the engine's buffers and the caches, the boot
// ROM has a wait state too, the custom function unit registers on both sides; everything else is soc_top as simulated. No PLL: the clock is the pin's.
module ecp5_top #(
  parameter int unsigned RamBytes = 64 * 1024,
  parameter int unsigned Simd     = 2,
  parameter int unsigned Lanes    = 4,
  parameter int unsigned BufWords = 2048,
  parameter int unsigned ClockHz  = 50_000_000,
  parameter              RomFile  = "build/synth/boot.hex"    // relative to where the synthesis runs; hil/synth.py puts it there
) (
  input  logic       clk_i,
  input  logic       rst_ni,      // button, asynchronous
  input  logic       uart_rx_i,
  output logic       uart_tx_o,
  input  logic [3:0] gpio_i,
  output logic [3:0] gpio_o
);

  // Reset ends with the clock.
  logic [1:0] reset_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) reset_q <= '0;
    else         reset_q <= {reset_q[0], 1'b1};
  end

  logic [31:0] gpio;
  logic        unused, byte_take, byte_status, byte_irq, byte_valid, timer_read, fault;
  logic [7:0]  byte_data;
  logic [31:2] fault_adr;

  assign gpio_o = gpio[3:0];
  assign unused = ^{gpio[31:4], byte_take, byte_status, byte_irq, byte_valid, byte_data, timer_read, fault, fault_adr};

  soc_top #(
    .CpuKind     (soc_pkg::CpuVexRiscv),
    .RamBytes    (RamBytes),
    .RamLatency  (1),
    .RomWait     (1'b1),
    .RomFile     (RomFile),
    .ClockHz     (ClockHz),
    .Simd        (Simd),
    .CfuRegister (1'b1),
    .Lanes       (Lanes),
    .BufWords    (BufWords)
  ) u_soc (
    .clk_i,
    .rst_ni               (reset_q[1]),
    .uart_rx_i,
    .uart_tx_o,
    .gpio_i               ({28'd0, gpio_i}),
    .gpio_o               (gpio),
    .byte_rx_valid_i      (1'b0),
    .byte_rx_data_i       (8'd0),
    .byte_rx_take_o       (byte_take),
    .byte_rx_status_o     (byte_status),
    .byte_rx_irq_enable_o (byte_irq),
    .byte_tx_valid_o      (byte_valid),
    .byte_tx_data_o       (byte_data),
    .timer_read_o         (timer_read),
    .fault_o              (fault),
    .fault_adr_o          (fault_adr)
  );

endmodule
