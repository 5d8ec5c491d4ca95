// Dot product of one step of one lane: 16 activations times 16 two-bit pieces of weights, or 32 one-bit products.
// First each piece's activation is chosen and registered. Pieces are multiplied as two AND planes; those of equal significance
// are summed and registered, then shifted and summed.
module stream_dot
  import stream_pkg::*;
(
  input  logic               clk_i,
  input  logic               select_i,      // a step's activations stand at a_i,
  input  logic               enable_i,      // and a cycle later its weights and mask at the other inputs
  input  width_e             a_width_i,     // widths and sign stay as long as the result is used
  input  logic               a_unsigned_i,
  input  width_e             w_width_i,     // Width1 with wider activations: weights_i holds 01 and 11
  input  logic [127:0]       a_i,           // the activations of the step from bit 0 on
  input  logic [31:0]        weights_i,
  input  logic [31:0]        mask_i,        // 1x1: elements that count; else the weights of those that do not are 0
  output logic signed [18:0] dot_o          // a cycle after the weights
);

  logic               binary;
  logic signed [12:0] group_q [4];

  assign binary = (a_width_i == Width1) & (w_width_i == Width1);

  // Functions, which a simulator evaluates only in a step, with local variables.
  function automatic logic signed [8:0] element(int unsigned i);
    unique case (a_width_i)
      Width8:  return {~a_unsigned_i & a_i[8*i+7], a_i[8*i+:8]};
      Width4:  return {{5{~a_unsigned_i & a_i[4*i+3]}}, a_i[4*i+:4]};
      Width2:  return {{7{~a_unsigned_i & a_i[2*i+1]}}, a_i[2*i+:2]};
      default: return {{8{~a_unsigned_i & a_i[i]}}, ~a_unsigned_i | a_i[i]};
    endcase
  endfunction

  // The activation of weight piece i.
  function automatic logic signed [8:0] slot(int unsigned i);
    unique case (w_width_i)
      Width8:  return element(i/4);
      Width4:  return element(i/2);
      default: return element(i);
    endcase
  endfunction

  function automatic logic signed [10:0] plane(logic signed [8:0] value, logic weight);
    return 11'(value) & {11{weight}};
  endfunction

  // {0, 1} activations: ones under +1 less ones under -1. {-1, +1}: agreements less disagreements.
  function automatic logic signed [12:0] ones(logic [7:0] bits, logic [7:0] weights, logic [7:0] mask);
    logic [7:0] agree;
    if (a_unsigned_i) begin
      agree = bits & mask;
      return 13'($countones(agree & ~weights)) - 13'($countones(agree & weights));
    end
    agree = ~(bits ^ weights) & mask;
    return (13'($countones(agree)) << 1) - 13'($countones(mask));
  endfunction

  // Pieces of equal significance: i with i % 4 = j
  for (genvar j = 0; j < 4; j++) begin : gen_group
    logic signed [8:0]  slot0_q, slot1_q, slot2_q, slot3_q;
    logic [7:0]         bits_q;             // one-bit activations
    logic signed [12:0] sum_q;

    always_ff @(posedge clk_i) begin
      if (select_i) begin
        slot0_q <= slot(j);
        slot1_q <= slot(j + 4);
        slot2_q <= slot(j + 8);
        slot3_q <= slot(j + 12);
        bits_q  <= a_i[8*j+:8];
      end
    end

    function automatic logic signed [12:0] group();
      logic signed [10:0] low, high;        // sums of the planes
      low  = (plane(slot0_q, weights_i[2*j])    + plane(slot1_q, weights_i[2*j+8]))
           + (plane(slot2_q, weights_i[2*j+16]) + plane(slot3_q, weights_i[2*j+24]));
      high = (plane(slot0_q, weights_i[2*j+1])  + plane(slot1_q, weights_i[2*j+9]))
           + (plane(slot2_q, weights_i[2*j+17]) + plane(slot3_q, weights_i[2*j+25]));
      // The upper plane of an element's top piece is negative.
      if (w_width_i[1] || j == 3 || (w_width_i == Width4 && j == 1)) return 13'(low) - (13'(high) << 1);
      return 13'(low) + (13'(high) << 1);
    endfunction

    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        if (binary) sum_q <= ones(bits_q, weights_i[8*j+:8], mask_i[8*j+:8]);
        else        sum_q <= group();
      end
    end
    assign group_q[j] = sum_q;
  end

  always_comb begin
    unique case (w_width_i)
      Width8:  dot_o = (19'(group_q[0]) + (19'(group_q[1]) << 2)) + ((19'(group_q[2]) << 4) + (19'(group_q[3]) << 6));
      Width4:  dot_o = (19'(group_q[0]) + 19'(group_q[2])) + ((19'(group_q[1]) + 19'(group_q[3])) << 2);
      default: dot_o = (19'(group_q[0]) + 19'(group_q[1])) + (19'(group_q[2]) + 19'(group_q[3]));
    endcase
  end

endmodule
