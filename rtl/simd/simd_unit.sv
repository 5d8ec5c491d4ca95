// Mixed-precision dot product as a custom function unit: rd = dot(rs1 activations, rs2 weights).
// Combinational and without state: the answer stands in the cycle of the command, and a stalled response stalls the command.
// With Pipeline = 1, for FPGAs, registers hold the operands' lanes and the sums of products: a command is accepted, and answered, in the
// third cycle in which it stands, and must stand until then.
module simd_unit #(
  parameter bit Pipeline = 1'b0
) (
  input  logic        clk_i,                // unused without Pipeline: there is no state
  input  logic        rst_ni,               // unused
  input  logic        cmd_valid_i,
  output logic        cmd_ready_o,
  input  logic [9:0]  cmd_function_id_i,    // {funct7, funct3}
  input  logic [31:0] cmd_inputs_0_i,       // rs1: activations
  input  logic [31:0] cmd_inputs_1_i,       // rs2: weights
  output logic        rsp_valid_o,
  input  logic        rsp_ready_i,
  output logic [31:0] rsp_outputs_0_o       // signed; 0 for an encoding outside the table
);

  logic             legal, enable, a_unsigned;
  logic [2:0]       index;
  logic [31:0]      a_lanes, w_lanes;
  simd_pkg::width_e a_width, w_width, lane_width;

  // At the dot product
  logic             dot_enable, dot_unsigned, done;
  logic [31:0]      dot_a, dot_w;
  simd_pkg::width_e dot_width;

  simd_decode u_decode (
    .function_id_i (cmd_function_id_i),
    .legal_o       (legal),
    .a_unsigned_o  (a_unsigned),
    .a_width_o     (a_width),
    .w_width_o     (w_width),
    .lane_width_o  (lane_width),
    .index_o       (index)
  );

  assign enable = cmd_valid_i & legal;

  simd_widen u_widen_a (
    .enable_i     (enable),
    .word_i       (cmd_inputs_0_i),
    .width_i      (a_width),
    .lane_width_i (lane_width),
    .unsigned_i   (a_unsigned),
    .index_i      (index),
    .lanes_o      (a_lanes)
  );

  simd_widen u_widen_w (
    .enable_i     (enable),
    .word_i       (cmd_inputs_1_i),
    .width_i      (w_width),
    .lane_width_i (lane_width),
    .unsigned_i   (1'b0),
    .index_i      (index),
    .lanes_o      (w_lanes)
  );

  if (Pipeline) begin : gen_pipeline
    logic [1:0] age_q;                      // cycles in which the command has stood
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni)                             age_q <= '0;
      else if (!cmd_valid_i)                   age_q <= '0;
      else if (!done)                          age_q <= age_q + 2'd1;
      else if (rsp_ready_i)                    age_q <= '0;
    end
    assign done = age_q == 2'd2;

    always_ff @(posedge clk_i) begin
      dot_enable   <= enable;
      dot_width    <= lane_width;
      dot_unsigned <= a_unsigned;
      dot_a        <= a_lanes;
      dot_w        <= w_lanes;
    end
  end else begin : gen_combinational
    logic unused_clk_rst;
    assign unused_clk_rst = ^{clk_i, rst_ni};

    assign done         = 1'b1;
    assign dot_enable   = enable;
    assign dot_width    = lane_width;
    assign dot_unsigned = a_unsigned;
    assign dot_a        = a_lanes;
    assign dot_w        = w_lanes;
  end

  simd_dot #(
    .Register (Pipeline)
  ) u_dot (
    .clk_i,
    .enable_i     (dot_enable),
    .lane_width_i (dot_width),
    .a_unsigned_i (dot_unsigned),
    .a_i          (dot_a),
    .w_i          (dot_w),
    .dot_o        (rsp_outputs_0_o)
  );

  assign rsp_valid_o = cmd_valid_i & done;
  assign cmd_ready_o = rsp_ready_i & done;

endmodule
