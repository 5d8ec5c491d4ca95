// The ports of a VexiiRiscv netlist, moved by a cocotb bench instead of a core: the outputs are variables that the bench sets.
// 1-bit fetch ids, 2-bit load/store ids.
module VexiiRiscv (
  input  logic        clk,
  input  logic        reset,
  input  logic [63:0] PrivilegedPlugin_logic_rdtime,
  input  logic        PrivilegedPlugin_logic_harts_0_int_m_timer,
  input  logic        PrivilegedPlugin_logic_harts_0_int_m_software,
  input  logic        PrivilegedPlugin_logic_harts_0_int_m_external,
  output logic        FetchCachelessPlugin_logic_bus_cmd_valid,
  input  logic        FetchCachelessPlugin_logic_bus_cmd_ready,
  output logic [0:0]  FetchCachelessPlugin_logic_bus_cmd_payload_id,
  output logic [31:0] FetchCachelessPlugin_logic_bus_cmd_payload_address,
  input  logic        FetchCachelessPlugin_logic_bus_rsp_valid,
  input  logic [0:0]  FetchCachelessPlugin_logic_bus_rsp_payload_id,
  input  logic        FetchCachelessPlugin_logic_bus_rsp_payload_error,
  input  logic [31:0] FetchCachelessPlugin_logic_bus_rsp_payload_word,
  output logic        LsuCachelessPlugin_logic_bus_cmd_valid,
  input  logic        LsuCachelessPlugin_logic_bus_cmd_ready,
  output logic [1:0]  LsuCachelessPlugin_logic_bus_cmd_payload_id,
  output logic        LsuCachelessPlugin_logic_bus_cmd_payload_write,
  output logic [31:0] LsuCachelessPlugin_logic_bus_cmd_payload_address,
  output logic [31:0] LsuCachelessPlugin_logic_bus_cmd_payload_data,
  output logic [1:0]  LsuCachelessPlugin_logic_bus_cmd_payload_size,
  output logic [3:0]  LsuCachelessPlugin_logic_bus_cmd_payload_mask,
  output logic        LsuCachelessPlugin_logic_bus_cmd_payload_io,
  output logic        LsuCachelessPlugin_logic_bus_cmd_payload_fromHart,
  output logic [15:0] LsuCachelessPlugin_logic_bus_cmd_payload_uopId,
  input  logic        LsuCachelessPlugin_logic_bus_rsp_valid,
  input  logic [1:0]  LsuCachelessPlugin_logic_bus_rsp_payload_id,
  input  logic        LsuCachelessPlugin_logic_bus_rsp_payload_error,
  input  logic [31:0] LsuCachelessPlugin_logic_bus_rsp_payload_data,
  output logic        CfuPlugin_logic_bus_cmd_valid,
  input  logic        CfuPlugin_logic_bus_cmd_ready,
  output logic [9:0]  CfuPlugin_logic_bus_cmd_payload_function_id,
  output logic [31:0] CfuPlugin_logic_bus_cmd_payload_inputs_0,
  output logic [31:0] CfuPlugin_logic_bus_cmd_payload_inputs_1,
  output logic [31:0] CfuPlugin_logic_bus_cmd_payload_raw_insn,
  input  logic        CfuPlugin_logic_bus_rsp_valid,
  output logic        CfuPlugin_logic_bus_rsp_ready,
  input  logic [31:0] CfuPlugin_logic_bus_rsp_payload_outputs_0
);

  initial begin
    FetchCachelessPlugin_logic_bus_cmd_valid = '0;
    FetchCachelessPlugin_logic_bus_cmd_payload_id = '0;
    FetchCachelessPlugin_logic_bus_cmd_payload_address = '0;
    LsuCachelessPlugin_logic_bus_cmd_valid = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_id = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_write = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_address = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_data = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_size = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_mask = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_io = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_fromHart = '0;
    LsuCachelessPlugin_logic_bus_cmd_payload_uopId = '0;
    CfuPlugin_logic_bus_cmd_valid = '0;
    CfuPlugin_logic_bus_cmd_payload_function_id = '0;
    CfuPlugin_logic_bus_cmd_payload_inputs_0 = '0;
    CfuPlugin_logic_bus_cmd_payload_inputs_1 = '0;
    CfuPlugin_logic_bus_cmd_payload_raw_insn = '0;
    CfuPlugin_logic_bus_rsp_ready = '0;
  end

endmodule
