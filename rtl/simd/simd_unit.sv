// Mixed-precision dot product as a custom function unit: rd = dot(rs1 activations, rs2 weights).
// Combinational and without state: the answer stands in the cycle of the command, and a stalled response stalls the command.
module simd_unit (
  input  logic        clk_i,                // unused: there is no state
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

  simd_dot u_dot (
    .enable_i     (enable),
    .lane_width_i (lane_width),
    .a_unsigned_i (a_unsigned),
    .a_i          (a_lanes),
    .w_i          (w_lanes),
    .dot_o        (rsp_outputs_0_o)
  );

  assign rsp_valid_o = cmd_valid_i;
  assign cmd_ready_o = rsp_ready_i;

  logic unused_clk_rst;
  assign unused_clk_rst = ^{clk_i, rst_ni};

endmodule
