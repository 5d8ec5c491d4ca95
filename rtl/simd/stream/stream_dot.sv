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
  logic signed [8:0]  element [16];         // activations
  logic signed [8:0]  slot [16], slot_q [16];  // the activation of each weight piece
  logic [31:0]        bits_q;               // one-bit activations
  logic signed [10:0] low [4], high [4];    // sums of the planes by significance: pieces i with i % 4 = j
  logic signed [12:0] group [4], group_q [4];
  logic [31:0]        agree;

  assign binary = (a_width_i == Width1) & (w_width_i == Width1);

  function automatic logic signed [8:0] plane(logic signed [8:0] value, logic weight);
    return weight ? value : 9'sd0;
  endfunction

  always_comb begin
    for (int i = 0; i < 16; i++) begin
      element[i] = '0;
      slot[i]    = '0;
    end
    if (select_i) begin
      unique case (a_width_i)
        Width8:  for (int i = 0; i < 16; i++) element[i] = {~a_unsigned_i & a_i[8*i+7], a_i[8*i+:8]};
        Width4:  for (int i = 0; i < 16; i++) element[i] = {{5{~a_unsigned_i & a_i[4*i+3]}}, a_i[4*i+:4]};
        Width2:  for (int i = 0; i < 16; i++) element[i] = {{7{~a_unsigned_i & a_i[2*i+1]}}, a_i[2*i+:2]};
        default: for (int i = 0; i < 16; i++) element[i] = {{8{~a_unsigned_i & a_i[i]}}, ~a_unsigned_i | a_i[i]};
      endcase
      unique case (w_width_i)
        Width8:  for (int i = 0; i < 16; i++) slot[i] = element[i/4];
        Width4:  for (int i = 0; i < 16; i++) slot[i] = element[i/2];
        default: for (int i = 0; i < 16; i++) slot[i] = element[i];
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (select_i) begin
      slot_q <= slot;
      bits_q <= a_i[31:0];
    end
  end

  always_comb begin
    agree = '0;
    for (int j = 0; j < 4; j++) begin
      low[j]   = '0;
      high[j]  = '0;
      group[j] = '0;
    end
    if (enable_i && binary) begin
      // {0, 1} activations: ones under +1 less ones under -1. {-1, +1}: agreements less disagreements.
      if (a_unsigned_i) begin
        agree = bits_q & mask_i;
        for (int j = 0; j < 4; j++) begin
          group[j] = 13'($countones(agree[8*j+:8] & ~weights_i[8*j+:8])) - 13'($countones(agree[8*j+:8] & weights_i[8*j+:8]));
        end
      end else begin
        agree = ~(bits_q ^ weights_i) & mask_i;
        for (int j = 0; j < 4; j++) group[j] = (13'($countones(agree[8*j+:8])) << 1) - 13'($countones(mask_i[8*j+:8]));
      end
    end else if (enable_i) begin
      for (int j = 0; j < 4; j++) begin
        low[j]  = (11'(plane(slot_q[j], weights_i[2*j]))      + 11'(plane(slot_q[j+4], weights_i[2*j+8])))
                + (11'(plane(slot_q[j+8], weights_i[2*j+16])) + 11'(plane(slot_q[j+12], weights_i[2*j+24])));
        high[j] = (11'(plane(slot_q[j], weights_i[2*j+1]))      + 11'(plane(slot_q[j+4], weights_i[2*j+9])))
                + (11'(plane(slot_q[j+8], weights_i[2*j+17])) + 11'(plane(slot_q[j+12], weights_i[2*j+25])));
        // The upper plane of an element's top piece is negative.
        if (w_width_i[1] || j == 3 || (w_width_i == Width4 && j == 1)) group[j] = 13'(low[j]) - (13'(high[j]) << 1);
        else                                                           group[j] = 13'(low[j]) + (13'(high[j]) << 1);
      end
    end
  end

  always_ff @(posedge clk_i) if (enable_i) group_q <= group;

  always_comb begin
    unique case (w_width_i)
      Width8:  dot_o = (19'(group_q[0]) + (19'(group_q[1]) << 2)) + ((19'(group_q[2]) << 4) + (19'(group_q[3]) << 6));
      Width4:  dot_o = (19'(group_q[0]) + 19'(group_q[2])) + ((19'(group_q[1]) + 19'(group_q[3])) << 2);
      default: dot_o = (19'(group_q[0]) + 19'(group_q[1])) + (19'(group_q[2]) + 19'(group_q[3]));
    endcase
  end

endmodule
