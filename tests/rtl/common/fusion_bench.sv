// The fusion unit beside its functional model.
module fusion_bench (
  input  logic [31:0]        act_i,
  input  logic [31:0]        wgt_i,
  input  logic [1:0]         act_mode_i,
  input  logic [1:0]         wgt_mode_i,
  input  logic               act_signed_i,
  input  logic               wgt_signed_i,
  output logic signed [17:0] structural_o,
  output logic signed [17:0] functional_o
);

  fusion_unit u_structural (
    .act_i, .wgt_i, .act_mode_i, .wgt_mode_i, .act_signed_i, .wgt_signed_i, .sum_o (structural_o)
  );

  fusion_unit_functional u_functional (
    .act_i, .wgt_i, .act_mode_i, .wgt_mode_i, .act_signed_i, .wgt_signed_i, .sum_o (functional_o)
  );

endmodule
