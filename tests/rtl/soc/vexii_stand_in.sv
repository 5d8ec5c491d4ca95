// Stands in for a VexiiRiscv netlist: its ports and bus habits, but a program that is a list of stores.
// Fetches pairs of words (address, data) from address 0 on, keeping two fetches in flight as the core does, and stores the
// data at the address; a pair with address 0 ends the program. Before each store to the UART it loads STATUS, and after the
// end it does nothing but load STATUS.
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
  output logic [0:0]  LsuCachelessPlugin_logic_bus_cmd_payload_id,
  output logic        LsuCachelessPlugin_logic_bus_cmd_payload_write,
  output logic [31:0] LsuCachelessPlugin_logic_bus_cmd_payload_address,
  output logic [31:0] LsuCachelessPlugin_logic_bus_cmd_payload_data,
  output logic [1:0]  LsuCachelessPlugin_logic_bus_cmd_payload_size,
  output logic [3:0]  LsuCachelessPlugin_logic_bus_cmd_payload_mask,
  output logic        LsuCachelessPlugin_logic_bus_cmd_payload_io,
  output logic        LsuCachelessPlugin_logic_bus_cmd_payload_fromHart,
  output logic [15:0] LsuCachelessPlugin_logic_bus_cmd_payload_uopId,
  input  logic        LsuCachelessPlugin_logic_bus_rsp_valid,
  input  logic [0:0]  LsuCachelessPlugin_logic_bus_rsp_payload_id,
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

  typedef enum logic [2:0] {FetchAddress, FetchData, WaitBoth, Load, LoadAnswer, Store, StoreAnswer} state_e;

  state_e      state_q;
  logic [31:0] pc_q, address_q, data_q;
  logic        ended_q, lsu_id_q;

  assign FetchCachelessPlugin_logic_bus_cmd_valid           = (state_q == FetchAddress) || (state_q == FetchData);
  assign FetchCachelessPlugin_logic_bus_cmd_payload_id      = (state_q == FetchData);
  assign FetchCachelessPlugin_logic_bus_cmd_payload_address = pc_q;

  assign LsuCachelessPlugin_logic_bus_cmd_valid            = (state_q == Load) || (state_q == Store);
  assign LsuCachelessPlugin_logic_bus_cmd_payload_id       = lsu_id_q;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_write    = state_q == Store;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_address  = (state_q == Store) ? address_q : 32'hF000_1004;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_data     = data_q;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_size     = 2'd2;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_mask     = 4'b1111;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_io       = 1'b1;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_fromHart = 1'b1;
  assign LsuCachelessPlugin_logic_bus_cmd_payload_uopId    = 16'd0;

  assign CfuPlugin_logic_bus_cmd_valid               = 1'b0;
  assign CfuPlugin_logic_bus_cmd_payload_function_id = '0;
  assign CfuPlugin_logic_bus_cmd_payload_inputs_0    = '0;
  assign CfuPlugin_logic_bus_cmd_payload_inputs_1    = '0;
  assign CfuPlugin_logic_bus_cmd_payload_raw_insn    = '0;
  assign CfuPlugin_logic_bus_rsp_ready               = 1'b1;

  always_ff @(posedge clk or posedge reset) begin
    if (reset) begin
      state_q   <= FetchAddress;
      pc_q      <= '0;
      address_q <= '0;
      data_q    <= '0;
      ended_q   <= 1'b0;
      lsu_id_q  <= 1'b0;
    end else begin
      if (FetchCachelessPlugin_logic_bus_rsp_valid) begin
        if (FetchCachelessPlugin_logic_bus_rsp_payload_id) data_q <= FetchCachelessPlugin_logic_bus_rsp_payload_word;
        else                                               address_q <= FetchCachelessPlugin_logic_bus_rsp_payload_word;
      end
      unique case (state_q)
        FetchAddress: if (FetchCachelessPlugin_logic_bus_cmd_ready) begin
          pc_q    <= pc_q + 32'd4;
          state_q <= FetchData;
        end
        FetchData: if (FetchCachelessPlugin_logic_bus_cmd_ready) begin
          pc_q    <= pc_q + 32'd4;
          state_q <= WaitBoth;
        end
        WaitBoth: if (FetchCachelessPlugin_logic_bus_rsp_valid && FetchCachelessPlugin_logic_bus_rsp_payload_id) begin
          ended_q <= address_q == 32'd0;
          state_q <= Load;
        end
        Load: if (LsuCachelessPlugin_logic_bus_cmd_ready) begin
          lsu_id_q <= ~lsu_id_q;
          state_q  <= LoadAnswer;
        end
        LoadAnswer: if (LsuCachelessPlugin_logic_bus_rsp_valid) state_q <= ended_q ? Load : Store;
        Store: if (LsuCachelessPlugin_logic_bus_cmd_ready) begin
          lsu_id_q <= ~lsu_id_q;
          state_q  <= StoreAnswer;
        end
        StoreAnswer: if (LsuCachelessPlugin_logic_bus_rsp_valid) state_q <= FetchAddress;
        default: state_q <= FetchAddress;
      endcase
    end
  end

endmodule
