// Registers between a core and its custom function unit, command and answer: no combinational path from one to the other. One
// instruction at a time; its answer comes two cycles later than the unit's own. A command accepted here is executed, once.
module cfu_register (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        cmd_valid_i,
  output logic        cmd_ready_o,
  input  logic [9:0]  cmd_function_id_i,
  input  logic [31:0] cmd_inputs_0_i,
  input  logic [31:0] cmd_inputs_1_i,
  output logic        rsp_valid_o,
  input  logic        rsp_ready_i,
  output logic [31:0] rsp_outputs_0_o,

  output logic        unit_cmd_valid_o,
  input  logic        unit_cmd_ready_i,
  output logic [9:0]  unit_cmd_function_id_o,
  output logic [31:0] unit_cmd_inputs_0_o,
  output logic [31:0] unit_cmd_inputs_1_o,
  input  logic        unit_rsp_valid_i,
  output logic        unit_rsp_ready_o,
  input  logic [31:0] unit_rsp_outputs_0_i
);

  logic        cmd_q, rsp_q;
  logic [9:0]  function_id_q;
  logic [31:0] inputs_0_q, inputs_1_q, outputs_0_q;
  logic        take, done;

  assign cmd_ready_o = ~cmd_q & ~rsp_q;
  assign take        = cmd_valid_i & cmd_ready_o;
  assign done        = cmd_q & unit_cmd_ready_i & unit_rsp_valid_i;    // the unit answers as it accepts

  assign unit_cmd_valid_o       = cmd_q;
  assign unit_cmd_function_id_o = function_id_q;
  assign unit_cmd_inputs_0_o    = inputs_0_q;
  assign unit_cmd_inputs_1_o    = inputs_1_q;
  assign unit_rsp_ready_o       = 1'b1;
  assign rsp_valid_o            = rsp_q;
  assign rsp_outputs_0_o        = outputs_0_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cmd_q <= 1'b0;
      rsp_q <= 1'b0;
    end else begin
      if (take)                      cmd_q <= 1'b1;
      else if (done)                 cmd_q <= 1'b0;
      if (done)                      rsp_q <= 1'b1;
      else if (rsp_q && rsp_ready_i) rsp_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      function_id_q <= cmd_function_id_i;
      inputs_0_q    <= cmd_inputs_0_i;
      inputs_1_q    <= cmd_inputs_1_i;
    end
    if (done) outputs_0_q <= unit_rsp_outputs_0_i;
  end

endmodule
