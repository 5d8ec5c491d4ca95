// Serial receiver, 8N1, least significant bit first. Each bit is sampled once, in its middle.
// A start bit shorter than half a bit is taken for a glitch. A byte whose stop bit is low is dropped with
// framing_error_o, and nothing is received until the line has been high again.
module uart_rx (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [15:0] divisor_i,          // clock cycles per bit, at least 4; taken at the start of each byte
  input  logic        rx_i,               // asynchronous
  output logic        valid_o,            // for one cycle; nobody can stall a line
  output logic [7:0]  data_o,
  output logic        framing_error_o     // for one cycle
);

  typedef enum logic [1:0] {Idle, Start, Data, Stop} state_e;

  logic [1:0]  sync_q;
  logic        rx;
  state_e      state_d, state_q;
  logic        armed_d, armed_q;          // the line has been high since the last byte
  logic [15:0] divisor_d, divisor_q;
  logic [15:0] count_d, count_q;          // cycles until the next sample
  logic [2:0]  bits_d, bits_q;
  logic [7:0]  shift_d, shift_q;

  assign rx     = sync_q[1];
  assign data_o = shift_q;

  always_comb begin
    state_d         = state_q;
    armed_d         = armed_q | rx;
    divisor_d       = divisor_q;
    count_d         = count_q - 16'd1;
    bits_d          = bits_q;
    shift_d         = shift_q;
    valid_o         = 1'b0;
    framing_error_o = 1'b0;
    unique case (state_q)
      Idle: begin
        count_d   = {1'b0, divisor_i[15:1]} - 16'd1;
        divisor_d = divisor_i;
        if (armed_q && !rx) state_d = Start;
      end
      Start: if (count_q == 16'd0) begin
        count_d = divisor_q - 16'd1;
        bits_d  = 3'd7;
        state_d = rx ? Idle : Data;
      end
      Data: if (count_q == 16'd0) begin
        count_d = divisor_q - 16'd1;
        shift_d = {rx, shift_q[7:1]};
        bits_d  = bits_q - 3'd1;
        if (bits_q == 3'd0) state_d = Stop;
      end
      Stop: if (count_q == 16'd0) begin
        state_d         = Idle;
        armed_d         = rx;
        valid_o         = rx;
        framing_error_o = ~rx;
      end
      default: state_d = Idle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sync_q    <= '1;
      state_q   <= Idle;
      armed_q   <= 1'b0;
      divisor_q <= '0;
      count_q   <= '0;
      bits_q    <= '0;
      shift_q   <= '0;
    end else begin
      sync_q    <= {sync_q[0], rx_i};
      state_q   <= state_d;
      armed_q   <= armed_d;
      divisor_q <= divisor_d;
      count_q   <= count_d;
      bits_q    <= bits_d;
      shift_q   <= shift_d;
    end
  end

endmodule
