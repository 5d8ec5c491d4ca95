// UART with 16-byte FIFOs: DATA, STATUS, DIVISOR, INTERRUPT.
//
// ByteMode = 0: the serial lines rx_i and tx_o, bit by bit.
// ByteMode = 1: whole bytes through the byte_* port, for simulators; the lines and the divisor do nothing. The other side
// of the port takes a sent byte in the cycle in which it is written, so that the transmitter is always empty, and stands
// for the receive FIFO: its oldest byte, if any, is what STATUS and DATA see from the next cycle on. Nothing overruns.
module soc_uart #(
  parameter bit          ByteMode = 1'b0,
  parameter int unsigned Divisor  = 434           // after reset: clock cycles per bit, 4 to 65535
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        valid_i,                     // an access, over in this cycle
  input  logic        we_i,
  input  logic [11:2] adr_i,
  input  logic [31:0] wdata_i,
  output logic [31:0] rdata_o,
  output logic        irq_o,

  input  logic        rx_i,
  output logic        tx_o,

  input  logic        byte_rx_valid_i,
  input  logic [7:0]  byte_rx_data_i,
  output logic        byte_rx_take_o,              // DATA is read: the byte is gone after this cycle
  output logic        byte_rx_status_o,            // STATUS is read in this cycle
  output logic        byte_rx_irq_enable_o,
  output logic        byte_tx_valid_o,
  output logic [7:0]  byte_tx_data_o
);

  localparam logic [9:0] AdrData = 10'd0, AdrStatus = 10'd1, AdrDivisor = 10'd2, AdrInterrupt = 10'd3;
  localparam logic [15:0] MinDivisor = 16'd4;

  logic        read_data, write_data, write_status;
  logic        rx_valid, tx_full, tx_idle, overrun_q, framing_q;
  logic [7:0]  rx_data;
  logic [15:0] divisor_q;
  logic        irq_enable_q;

  assign read_data    = valid_i & ~we_i & (adr_i == AdrData);
  assign write_data   = valid_i & we_i & (adr_i == AdrData);
  assign write_status = valid_i & we_i & (adr_i == AdrStatus);
  assign irq_o        = irq_enable_q & rx_valid;

  assign byte_rx_irq_enable_o = irq_enable_q;

  always_comb begin
    unique case (adr_i)
      AdrData:      rdata_o = {24'd0, rx_valid ? rx_data : 8'd0};
      AdrStatus:    rdata_o = {27'd0, tx_idle, framing_q, overrun_q, ~tx_full, rx_valid};
      AdrDivisor:   rdata_o = {16'd0, divisor_q};
      AdrInterrupt: rdata_o = {31'd0, irq_enable_q};
      default:      rdata_o = '0;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      divisor_q    <= 16'(Divisor);
      irq_enable_q <= 1'b0;
    end else if (valid_i && we_i) begin
      if (adr_i == AdrDivisor)   divisor_q    <= (wdata_i < 32'(MinDivisor)) ? MinDivisor : wdata_i[15:0];
      if (adr_i == AdrInterrupt) irq_enable_q <= wdata_i[0];
    end
  end

  if (ByteMode) begin : gen_bytes
    logic unused;
    assign unused           = ^{rx_i, write_status};
    assign tx_o             = 1'b1;
    // Registered: no path from the port through the core, which a simulator would evaluate at every edge.
    logic       rx_valid_q;
    logic [7:0] rx_data_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        rx_valid_q <= 1'b0;
        rx_data_q  <= '0;
      end else begin
        rx_valid_q <= byte_rx_valid_i & ~read_data;
        rx_data_q  <= byte_rx_data_i;
      end
    end
    assign rx_valid         = rx_valid_q;
    assign rx_data          = rx_data_q;
    assign tx_full          = 1'b0;
    assign tx_idle          = 1'b1;
    assign overrun_q        = 1'b0;
    assign framing_q        = 1'b0;
    assign byte_rx_take_o   = read_data;
    assign byte_rx_status_o = valid_i & ~we_i & (adr_i == AdrStatus);
    assign byte_tx_valid_o  = write_data;
    assign byte_tx_data_o   = wdata_i[7:0];
  end else begin : gen_lines
    logic       unused;
    logic       line_valid, line_framing_error, rx_full, tx_valid, tx_ready;
    logic [7:0] line_data, tx_data;

    assign unused           = ^{byte_rx_valid_i, byte_rx_data_i};
    assign byte_rx_take_o   = 1'b0;
    assign byte_rx_status_o = 1'b0;
    assign byte_tx_valid_o  = 1'b0;
    assign byte_tx_data_o   = '0;
    assign tx_idle          = ~tx_valid & tx_ready;

    uart_rx u_rx (
      .clk_i,
      .rst_ni,
      .divisor_i       (divisor_q),
      .rx_i,
      .valid_o         (line_valid),
      .data_o          (line_data),
      .framing_error_o (line_framing_error)
    );

    fifo #(.Width(8), .Depth(16)) u_rx_fifo (
      .clk_i,
      .rst_ni,
      .push_i  (line_valid),
      .data_i  (line_data),
      .full_o  (rx_full),
      .pop_i   (read_data),
      .valid_o (rx_valid),
      .data_o  (rx_data)
    );

    fifo #(.Width(8), .Depth(16)) u_tx_fifo (
      .clk_i,
      .rst_ni,
      .push_i  (write_data),
      .data_i  (wdata_i[7:0]),
      .full_o  (tx_full),
      .pop_i   (tx_ready),
      .valid_o (tx_valid),
      .data_o  (tx_data)
    );

    uart_tx u_tx (
      .clk_i,
      .rst_ni,
      .divisor_i (divisor_q),
      .valid_i   (tx_valid),
      .ready_o   (tx_ready),
      .data_i    (tx_data),
      .tx_o
    );

    // A new event wins over a clear in the same cycle: nothing is missed.
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        overrun_q <= 1'b0;
        framing_q <= 1'b0;
      end else begin
        overrun_q <= (line_valid & rx_full) | (overrun_q & ~(write_status & wdata_i[2]));
        framing_q <= line_framing_error | (framing_q & ~(write_status & wdata_i[3]));
      end
    end
  end

endmodule
