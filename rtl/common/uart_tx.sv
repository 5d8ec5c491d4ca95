// Serial transmitter, 8N1, least significant bit first. The divisor is taken at the start of each byte.
module uart_tx (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [15:0] divisor_i,    // clock cycles per bit, at least 4
  input  logic        valid_i,
  output logic        ready_o,
  input  logic [7:0]  data_i,
  output logic        tx_o
);

  logic [8:0]  shift_d, shift_q;        // stop bit and what is left of the byte; the start bit is sent on acceptance
  logic [3:0]  bits_d, bits_q;          // bits that are still to come after the present one
  logic [15:0] divisor_d, divisor_q;
  logic [15:0] count_d, count_q;        // cycles left of the present bit
  logic        busy_d, busy_q;
  logic        tx_d, tx_q;

  assign ready_o = ~busy_q;
  assign tx_o    = tx_q;

  always_comb begin
    shift_d   = shift_q;
    bits_d    = bits_q;
    divisor_d = divisor_q;
    count_d   = count_q;
    busy_d    = busy_q;
    tx_d      = tx_q;
    if (!busy_q) begin
      if (valid_i) begin
        shift_d   = {1'b1, data_i};
        bits_d    = 4'd9;
        divisor_d = divisor_i;
        count_d   = divisor_i - 16'd1;
        busy_d    = 1'b1;
        tx_d      = 1'b0;
      end
    end else if (count_q != 16'd0) begin
      count_d = count_q - 16'd1;
    end else if (bits_q != 4'd0) begin
      tx_d    = shift_q[0];
      shift_d = {1'b1, shift_q[8:1]};
      bits_d  = bits_q - 4'd1;
      count_d = divisor_q - 16'd1;
    end else begin
      busy_d = 1'b0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      shift_q   <= '1;
      bits_q    <= '0;
      divisor_q <= '0;
      count_q   <= '0;
      busy_q    <= 1'b0;
      tx_q      <= 1'b1;
    end else begin
      shift_q   <= shift_d;
      bits_q    <= bits_d;
      divisor_q <= divisor_d;
      count_q   <= count_d;
      busy_q    <= busy_d;
      tx_q      <= tx_d;
    end
  end

endmodule
