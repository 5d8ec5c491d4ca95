// Fusion unit: sum of 1, 2, 4, 8 or 16 products of 8-, 4- or 2-bit elements, from sixteen 2-bit multipliers. Combinational.
// README.md has the order of elements in both words and why the adders stand in this order.
//
// Brick (i, j) multiplies crumb i of an activation by crumb j of a weight. Wide elements take several bricks, whose products
// are shifted; narrow ones take one each, and their products are added in place: every adder has one optional shift.
module fusion_unit (
  input  logic [31:0]        act_i,
  input  logic [31:0]        wgt_i,
  input  logic [1:0]         act_mode_i,    // bits of an activation: 0: 2, 1: 4, 2: 8
  input  logic [1:0]         wgt_mode_i,    // bits of a weight, likewise
  input  logic               act_signed_i,  // two's complement, else plain binary
  input  logic               wgt_signed_i,
  output logic signed [17:0] sum_o
);

  logic act2, act8, wgt2, wgt8;

  assign act2 = act_mode_i == 2'd0;
  assign act8 = act_mode_i[1];
  assign wgt2 = wgt_mode_i == 2'd0;
  assign wgt8 = wgt_mode_i[1];

  // Only the most significant crumb of a signed element is signed.
  logic [3:0] act_sign, wgt_sign;

  assign act_sign = {4{act_signed_i}} & {1'b1, act2, ~act8, act2};
  assign wgt_sign = {4{wgt_signed_i}} & {1'b1, wgt2, ~wgt8, wgt2};

  // Activations of weight crumb j, weights of activation crumb i: as many bytes as the other side has elements in a byte.
  logic [3:0][7:0] act, wgt;

  assign act[0] = act_i[7:0];
  assign act[1] = wgt2 ? act_i[15:8] : act_i[7:0];
  assign act[2] = wgt8 ? act_i[7:0] : wgt2 ? act_i[23:16] : act_i[15:8];
  assign act[3] = wgt8 ? act_i[7:0] : wgt2 ? act_i[31:24] : act_i[15:8];

  assign wgt[0] = wgt_i[7:0];
  assign wgt[1] = act2 ? wgt_i[15:8] : wgt_i[7:0];
  assign wgt[2] = act8 ? wgt_i[7:0] : act2 ? wgt_i[23:16] : wgt_i[15:8];
  assign wgt[3] = act8 ? wgt_i[7:0] : act2 ? wgt_i[31:24] : wgt_i[15:8];

  logic signed [4:0] product [4][4];  // [i][j]

  for (genvar i = 0; i < 4; i++) begin : g_act
    for (genvar j = 0; j < 4; j++) begin : g_wgt
      bit_brick u_brick (
        .act_i        (act[j][2*i+:2]),
        .wgt_i        (wgt[i][2*j+:2]),
        .act_signed_i (act_sign[i]),
        .wgt_signed_i (wgt_sign[j]),
        .product_o    (product[i][j])
      );
    end
  end

  // The adders, each exact: a pair is 4 x 2 bits or two products of 2 x 2, a quad is 4 x 4 bits or what fits into it, a half
  // is 8 x 4 bits. The operand without a shift is the narrower one: it goes straight to the carry chain.
  logic signed [6:0]  pair [2][4];
  logic signed [8:0]  quad [2][2];
  logic signed [12:0] half [2];
  logic signed [16:0] upper;

  for (genvar i = 0; i < 2; i++) begin : g_pair
    for (genvar j = 0; j < 4; j++) begin : g_wgt
      logic signed [6:0] shifted;
      assign shifted    = act2 ? 7'(product[2*i+1][j]) : {product[2*i+1][j], 2'b0};
      assign pair[i][j] = 7'(product[2*i][j]) + shifted;
    end
  end

  for (genvar i = 0; i < 2; i++) begin : g_quad
    for (genvar j = 0; j < 2; j++) begin : g_wgt
      logic signed [8:0] shifted;
      assign shifted    = wgt2 ? 9'(pair[i][2*j+1]) : {pair[i][2*j+1], 2'b0};
      assign quad[i][j] = 9'(pair[i][2*j]) + shifted;
    end
  end

  for (genvar j = 0; j < 2; j++) begin : g_half
    logic signed [12:0] shifted;
    assign shifted = act8 ? {quad[1][j], 4'b0} : 13'(quad[1][j]);
    assign half[j] = 13'(quad[0][j]) + shifted;
  end

  assign upper = wgt8 ? {half[1], 4'b0} : 17'(half[1]);
  assign sum_o = 18'(half[0]) + 18'(upper);

endmodule
