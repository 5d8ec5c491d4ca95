// Accumulator and post-processing of one column: nothing in it waits, a token moves a stage a cycle.
// Stage 0 accumulates; 1 adds the bias; 2 and 3 multiply (3 also adds up the products of a multiply-add); 4 shifts; 5 rounds and clamps; 6 pools.
module bf_lane
  import bf_pkg::*;
  import bf_back_pkg::*;
(
  input  logic         clk_i,

  input  logic         acc_valid_i,
  input  acc_ctl_t     acc_i,           // stage 0
  input  logic         bypass_i,        // the partial sum is the result that stage 0 gave in the last cycle
  input  logic [31:0]  sum_i,           // of the column
  input  logic [31:0]  partial_i,       // from OBUF
  output logic [31:0]  acc_o,           // to OBUF, in stage 0

  input  logic [6:1]   valid_i,         // of the stages behind
  input  post_ctl_t    bias_ctl_i,      // stage 1
  input  logic [31:0]  bias_i,
  input  logic [30:0]  multiplier_i,
  input  logic [5:0]   shift_i,
  input  post_ctl_t    total_ctl_i,     // stage 3
  input  post_ctl_t    round_ctl_i,     // stage 5
  input  post_ctl_t    pool_ctl_i,      // stage 6
  output logic [31:0]  code_o           // behind stage 6; upper bits undefined where the output is narrower
);

  // 0: accumulator
  logic signed [31:0] acc_q, acc, addend;
  always_comb begin
    addend = sum_i;
    if (acc_i.max && sum_i[31] && !sum_i[16]) addend = 32'sh8000_0000;    // left out: less than every element
    if (acc_i.first) begin
      acc = addend;
      if (!acc_i.init) acc = addend + (bypass_i ? acc_q : partial_i);
    end else if (acc_i.max) begin
      acc = addend > acc_q ? addend : acc_q;
    end else begin
      acc = addend + acc_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (acc_valid_i) acc_q <= acc;
  end
  assign acc_o = acc;

  // 1: bias. The shift of a multiply-add is that of its first product.
  logic signed [32:0] biased_q;
  logic        [30:0] multiplier_q;
  logic        [5:0]  shift_1_q, shift_2_q, shift_3_q;
  logic signed [31:0] raw_1_q, raw_2_q, raw_3_q, raw_4_q;
  always_ff @(posedge clk_i) begin
    if (valid_i[1]) begin
      biased_q     <= bias_ctl_i.mac ? 33'(acc_q) : 33'(acc_q) + 33'($signed(bias_i));
      multiplier_q <= multiplier_i;
      if (!bias_ctl_i.mac || bias_ctl_i.mac_first) shift_1_q <= shift_i;
      raw_1_q <= acc_q;
    end
  end

  // 2: partial products
  logic        [31:0] ll_q;
  logic        [30:0] lh_q;
  logic signed [32:0] hl_q;
  logic signed [31:0] hh_q;
  logic signed [16:0] mult_low, mult_high;
  assign mult_low  = {1'b0, multiplier_q[15:0]};
  assign mult_high = {2'b0, multiplier_q[30:16]};
  always_ff @(posedge clk_i) begin
    if (valid_i[2]) begin
      ll_q      <= 32'(biased_q[15:0]) * 32'(multiplier_q[15:0]);
      lh_q      <= 31'(biased_q[15:0]) * 31'(multiplier_q[30:16]);
      hl_q      <= 33'($signed(biased_q[32:16])) * 33'(mult_low);
      hh_q      <= 32'($signed(biased_q[32:16])) * 32'(mult_high);
      shift_2_q <= shift_1_q;
      raw_2_q   <= raw_1_q;
    end
  end

  // 3: product
  logic signed [63:0] total_q, product;
  assign product = 64'($signed({1'b0, ll_q})) + ((64'(hl_q) + 64'($signed({1'b0, lh_q}))) <<< 16) + (64'(hh_q) <<< 32);
  always_ff @(posedge clk_i) begin
    if (valid_i[3]) begin
      total_q   <= total_ctl_i.mac && !total_ctl_i.mac_first ? total_q + product : product;
      shift_3_q <= shift_2_q;
      raw_3_q   <= raw_2_q;
    end
  end

  // 4: shifted but for the last place, which holds the half
  logic signed [63:0] shifted_q;
  logic               whole_q;
  always_ff @(posedge clk_i) begin
    if (valid_i[4]) begin
      shifted_q <= total_q >>> (shift_3_q == '0 ? 6'd0 : shift_3_q - 6'd1);
      whole_q   <= shift_3_q == '0;
      raw_4_q   <= raw_3_q;
    end
  end

  // 5: rounded half up, clamped. (x + 1) >> 1 > h is x > 2 h, and (x + 1) >> 1 < l is x < 2 l - 1: compared while it is rounded.
  logic        [32:0] rounded;
  logic signed [32:0] low, high;
  logic signed [34:0] least, most;
  logic        [31:0] value, value_q;
  logic        [3:0]  bits;
  assign rounded = whole_q ? {shifted_q[31:0], 1'b0} : shifted_q[32:0] + 33'd1;
  assign bits    = 4'd1 << round_ctl_i.out_log2;
  always_comb begin
    high = round_ctl_i.out_wide ? 33'sh0_FFFF_FFFF : (33'sd1 <<< bits) - 33'sd1;
    low  = '0;
    if (round_ctl_i.out_signed) begin
      high = high >>> 1;
      low  = ~high;
    end
    most  = whole_q ? 35'(high) : 35'(high) <<< 1;
    least = whole_q ? 35'(low) : (35'(low) <<< 1) - 35'sd1;
  end
  always_comb begin
    if (round_ctl_i.out_signed && !round_ctl_i.out_wide && round_ctl_i.out_log2 == 2'd0)
      value = {32{round_ctl_i.requant ? shifted_q[63] : raw_4_q[31]}};    // 0 stands for +1
    else if (!round_ctl_i.requant)   value = raw_4_q;
    else if (shifted_q < 64'(least)) value = low[31:0];
    else if (shifted_q > 64'(most))  value = high[31:0];
    else                             value = rounded[32:1];
  end
  always_ff @(posedge clk_i) begin
    if (valid_i[5]) value_q <= value;
  end

  // 6: maximum over a pooling window, kept for every group of octets
  logic signed [8:0] slots [PoolSlots];
  logic signed [8:0] kept, largest;
  logic [31:0]       code_q;
  assign kept    = slots[pool_ctl_i.slot];
  assign largest = !pool_ctl_i.pool_first && kept > $signed(value_q[8:0]) ? kept : value_q[8:0];
  always_ff @(posedge clk_i) begin
    if (valid_i[6]) begin
      if (pool_ctl_i.pool_last) code_q <= pool_ctl_i.out_wide ? value_q : {23'b0, largest};
      else                      slots[pool_ctl_i.slot] <= largest;
    end
  end
  assign code_o = code_q;

  logic unused;
  assign unused = ^{rounded[0], acc_i.last, acc_i.emit, acc_i.entry, acc_i.run_last, acc_i.sem_weight, bias_ctl_i, total_ctl_i, round_ctl_i,
                    pool_ctl_i};

endmodule
