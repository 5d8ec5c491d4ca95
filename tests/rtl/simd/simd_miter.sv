// simd_unit beside simd_spec. The proof fixes the function id.
module simd_miter (
  input  logic [9:0]  function_id_i,
  input  logic [31:0] rs1_i,
  input  logic [31:0] rs2_i,
  output logic        equal_o
);

  logic [31:0] result, expected;

  simd_unit u_unit (
    .clk_i             (1'b0),
    .rst_ni            (1'b1),
    .cmd_valid_i       (1'b1),
    .cmd_ready_o       (),
    .cmd_function_id_i (function_id_i),
    .cmd_inputs_0_i    (rs1_i),
    .cmd_inputs_1_i    (rs2_i),
    .rsp_valid_o       (),
    .rsp_ready_i       (1'b1),
    .rsp_outputs_0_o   (result)
  );

  simd_spec u_spec (
    .function_id_i,
    .rs1_i,
    .rs2_i,
    .legal_o       (),
    .result_o      (expected)
  );

  assign equal_o = result == expected;

endmodule
