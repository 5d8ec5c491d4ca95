// Version 1 (simd_unit) and the streaming engine behind one custom function unit port. Each answers in the cycle in which it
// accepts a command, so answers are in order by themselves. funct7[3:0] = 0 is the engine.
module simd_top #(
  parameter int unsigned Lanes     = 4,
  parameter int unsigned BufWords  = 2048,
  parameter int unsigned FifoDepth = 8,
  parameter bit          Pipeline  = 1'b0,              // registers in version 1, see simd_unit
  parameter logic [31:0] RamBase   = 32'h4000_0000,
  parameter int unsigned RamBytes  = 4 << 20,
  parameter bit          GateClock = 1'b0               // clocks inside the engine rest, see stream_engine
) (
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

  output logic        mem_req_o,
  output logic        mem_we_o,
  output logic [3:0]  mem_be_o,
  output logic [31:0] mem_addr_o,
  output logic [31:0] mem_wdata_o,
  input  logic        mem_gnt_i,
  input  logic        mem_rvalid_i,
  input  logic [31:0] mem_rdata_i,

  output logic        busy_o,
  output logic        stall_o
);

  logic        stream, unit_ready, stream_ready, unit_rsp, stream_rsp;
  logic [31:0] unit_out, stream_out;

  assign stream          = cmd_function_id_i[6:3] == 4'd0;
  assign cmd_ready_o     = stream ? stream_ready : unit_ready;
  assign rsp_valid_o     = stream ? stream_rsp : unit_rsp;
  assign rsp_outputs_0_o = stream ? stream_out : unit_out;

  simd_unit #(
    .Pipeline (Pipeline)
  ) u_unit (
    .clk_i,
    .rst_ni,
    .cmd_valid_i       (cmd_valid_i & ~stream),
    .cmd_ready_o       (unit_ready),
    .cmd_function_id_i,
    .cmd_inputs_0_i,
    .cmd_inputs_1_i,
    .rsp_valid_o       (unit_rsp),
    .rsp_ready_i,
    .rsp_outputs_0_o   (unit_out)
  );

  stream_engine #(
    .Lanes     (Lanes),
    .BufWords  (BufWords),
    .FifoDepth (FifoDepth),
    .RamBase   (RamBase),
    .RamBytes  (RamBytes),
    .GateClock (GateClock)
  ) u_stream (
    .clk_i,
    .rst_ni,
    .cmd_valid_i       (cmd_valid_i & stream),
    .cmd_ready_o       (stream_ready),
    .cmd_function_id_i,
    .cmd_inputs_0_i,
    .cmd_inputs_1_i,
    .rsp_valid_o       (stream_rsp),
    .rsp_ready_i,
    .rsp_outputs_0_o   (stream_out),
    .mem_req_o,
    .mem_we_o,
    .mem_be_o,
    .mem_addr_o,
    .mem_wdata_o,
    .mem_gnt_i,
    .mem_rvalid_i,
    .mem_rdata_i,
    .busy_o,
    .stall_o
  );

endmodule
