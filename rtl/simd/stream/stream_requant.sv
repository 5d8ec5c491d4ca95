// Requantiser: y = clamp((acc * m + 2^(s-1)) >> s), or of a sum of acc * m; one product a cycle, four stages that advance together.
module stream_requant
  import stream_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        flush_i,
  input  logic        advance_i,

  input  width_e      o_i,
  input  logic        o_unsigned_i,
  input  logic        wide_i,            // result is an int32, whatever o_i
  input  logic        valid_i,
  input  logic        add_i,             // add the product to the one before it,
  input  logic        more_i,            // and it to the next: no result yet
  input  logic [31:0] acc_i,
  input  logic [31:0] multiplier_i,      // 1..2^31-1
  input  logic [5:0]  shift_i,           // 1..62
  input  logic [2:0]  lane_i,            // travels along
  input  logic        last_i,

  output logic        valid_o,
  output logic [31:0] code_o,            // upper bits 0
  output logic [2:0]  lane_o,
  output logic        last_o,
  output logic        busy_o
);

  // Stage 1: four partial products of 16 bits each way
  logic [31:0]        ll_q;
  logic signed [32:0] hl_q;
  logic [30:0]        lh_q;
  logic signed [31:0] hh_q;
  // Stage 2: their sum
  logic signed [62:0] product_q, product;
  // Stage 3: shifted but for the last place, which holds the half
  logic signed [62:0] shifted_q;
  logic [5:0]         shift_q [2];
  logic [3:0]         valid_q;
  logic               add_q, more_q;
  logic [2:0]         lane_q [4];
  logic [3:0]         last_q;
  logic [31:0]        code_q, code;

  logic signed [16:0] acc_low, mult_low, mult_high;
  logic signed [15:0] acc_high;
  assign acc_low   = {1'b0, acc_i[15:0]};
  assign acc_high  = acc_i[31:16];
  assign mult_low  = {1'b0, multiplier_i[15:0]};
  assign mult_high = {1'b0, multiplier_i[31:16]};

  assign product = 63'($signed({1'b0, ll_q})) + ((63'(hl_q) + 63'($signed({1'b0, lh_q}))) << 16) + (63'(hh_q) << 32);

  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      if (valid_i) begin
        ll_q       <= 32'(acc_low * mult_low);
        lh_q       <= 31'(acc_low * mult_high);
        hl_q       <= 33'(acc_high * mult_low);
        hh_q       <= 32'(acc_high * mult_high);
        shift_q[0] <= shift_i;
        add_q      <= add_i;
        more_q     <= more_i;
      end
      if (valid_q[0]) begin
        product_q  <= product + (add_q ? product_q : '0);
        shift_q[1] <= shift_q[0];
      end
      if (valid_q[1]) shifted_q <= product_q >>> (shift_q[1] - 6'd1);
      if (valid_q[2]) code_q <= code;
      lane_q <= '{lane_i, lane_q[0], lane_q[1], lane_q[2]};
      last_q <= {last_q[2:0], last_i};
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)        valid_q <= '0;
    else if (flush_i)   valid_q <= '0;
    else if (advance_i) valid_q <= {valid_q[2:1], valid_q[0] & ~more_q, valid_i};
  end

  // Stage 4: round half up, clamp, cut to the width
  logic signed [62:0] rounded;
  logic signed [31:0] low, high;
  logic [31:0]        mask;
  always_comb begin
    rounded = (shifted_q + 63'sd1) >>> 1;
    low     = 32'sh8000_0000;
    high    = 32'sh7FFF_FFFF;
    mask    = '1;
    if (!wide_i) begin
      unique case (o_i)
        Width8:  begin mask = 32'hFF; low = -32'sd128; high = 32'sd127; end
        Width4:  begin mask = 32'hF;  low = -32'sd8;   high = 32'sd7;   end
        Width2:  begin mask = 32'h3;  low = -32'sd2;   high = 32'sd1;   end
        default: begin mask = 32'h1;  low = -32'sd1;   high = 32'sd0;   end
      endcase
      if (o_unsigned_i) begin
        low  = '0;
        high = mask;
      end
    end
    if (!wide_i && o_i == Width1 && !o_unsigned_i) code = {31'b0, shifted_q[62]};  // the sign: 0 is +1
    else if (rounded < 63'(low))                   code = low & mask;
    else if (rounded > 63'(high))                  code = high & mask;
    else                                           code = rounded[31:0] & mask;
  end

  assign valid_o = valid_q[3];
  assign code_o  = code_q;
  assign lane_o  = lane_q[3];
  assign last_o  = last_q[3];
  assign busy_o  = valid_q != '0;

endmodule
