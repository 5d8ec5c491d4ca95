// VexiiRiscv netlist (cacheless fetch and load/store buses, CFU plugin) in the CPU socket.
module cpu_vexiiriscv #(
  parameter int unsigned FetchIdWidth = 1,
  parameter int unsigned LsuIdWidth   = 1
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [31:0] reset_vector_i,
  input  logic [63:0] time_i,
  input  logic        irq_timer_i,
  input  logic        irq_software_i,
  input  logic        irq_external_i,

  output logic        bus_clk_o,

  output logic        ibus_cyc_o,
  output logic        ibus_stb_o,
  output logic [31:2] ibus_adr_o,
  output logic [2:0]  ibus_cti_o,
  input  logic        ibus_ack_i,
  input  logic        ibus_err_i,
  input  logic [31:0] ibus_rdata_i,

  output logic        dbus_cyc_o,
  output logic        dbus_stb_o,
  output logic        dbus_we_o,
  output logic [31:2] dbus_adr_o,
  output logic [31:0] dbus_wdata_o,
  output logic [3:0]  dbus_sel_o,
  output logic [2:0]  dbus_cti_o,
  input  logic        dbus_ack_i,
  input  logic        dbus_err_i,
  input  logic [31:0] dbus_rdata_i,

  output logic        cfu_cmd_valid_o,
  input  logic        cfu_cmd_ready_i,
  output logic [9:0]  cfu_cmd_function_id_o,
  output logic [31:0] cfu_cmd_inputs_0_o,
  output logic [31:0] cfu_cmd_inputs_1_o,
  input  logic        cfu_rsp_valid_i,
  output logic        cfu_rsp_ready_o,
  input  logic [31:0] cfu_rsp_outputs_0_i
);

  assign bus_clk_o = clk_i;

  logic                    fetch_cmd_valid, fetch_cmd_ready, fetch_rsp_valid, fetch_rsp_error;
  logic [FetchIdWidth-1:0] fetch_cmd_id, fetch_rsp_id;
  logic [31:0]             fetch_cmd_address, fetch_rsp_word;
  logic                    lsu_cmd_valid, lsu_cmd_ready, lsu_cmd_write, lsu_rsp_valid, lsu_rsp_error;
  logic [LsuIdWidth-1:0]   lsu_cmd_id, lsu_rsp_id;
  logic [31:0]             lsu_cmd_address, lsu_cmd_data, lsu_rsp_data;
  logic [3:0]              lsu_cmd_mask;
  logic                    fetch_we, unused;
  logic [31:0]             fetch_wdata;
  logic [3:0]              fetch_sel;

  // The reset vector is a constant of the netlist; fetches are reads of words.
  assign unused = ^{reset_vector_i, fetch_we, fetch_wdata, fetch_sel};

  // Which other outputs a netlist has depends on its configuration; hil/netlist.py checks that it has no other inputs.
  /* verilator lint_off PINMISSING */
  VexiiRiscv u_core (
    .clk                                                (clk_i),
    .reset                                              (~rst_ni),
    .PrivilegedPlugin_logic_rdtime                      (time_i),
    .PrivilegedPlugin_logic_harts_0_int_m_timer         (irq_timer_i),
    .PrivilegedPlugin_logic_harts_0_int_m_software      (irq_software_i),
    .PrivilegedPlugin_logic_harts_0_int_m_external      (irq_external_i),
    .FetchCachelessPlugin_logic_bus_cmd_valid           (fetch_cmd_valid),
    .FetchCachelessPlugin_logic_bus_cmd_ready           (fetch_cmd_ready),
    .FetchCachelessPlugin_logic_bus_cmd_payload_id      (fetch_cmd_id),
    .FetchCachelessPlugin_logic_bus_cmd_payload_address (fetch_cmd_address),
    .FetchCachelessPlugin_logic_bus_rsp_valid           (fetch_rsp_valid),
    .FetchCachelessPlugin_logic_bus_rsp_payload_id      (fetch_rsp_id),
    .FetchCachelessPlugin_logic_bus_rsp_payload_error   (fetch_rsp_error),
    .FetchCachelessPlugin_logic_bus_rsp_payload_word    (fetch_rsp_word),
    .LsuCachelessPlugin_logic_bus_cmd_valid             (lsu_cmd_valid),
    .LsuCachelessPlugin_logic_bus_cmd_ready             (lsu_cmd_ready),
    .LsuCachelessPlugin_logic_bus_cmd_payload_id        (lsu_cmd_id),
    .LsuCachelessPlugin_logic_bus_cmd_payload_write     (lsu_cmd_write),
    .LsuCachelessPlugin_logic_bus_cmd_payload_address   (lsu_cmd_address),
    .LsuCachelessPlugin_logic_bus_cmd_payload_data      (lsu_cmd_data),
    .LsuCachelessPlugin_logic_bus_cmd_payload_mask      (lsu_cmd_mask),
    .LsuCachelessPlugin_logic_bus_rsp_valid             (lsu_rsp_valid),
    .LsuCachelessPlugin_logic_bus_rsp_payload_id        (lsu_rsp_id),
    .LsuCachelessPlugin_logic_bus_rsp_payload_error     (lsu_rsp_error),
    .LsuCachelessPlugin_logic_bus_rsp_payload_data      (lsu_rsp_data),
    .CfuPlugin_logic_bus_cmd_valid                      (cfu_cmd_valid_o),
    .CfuPlugin_logic_bus_cmd_ready                      (cfu_cmd_ready_i),
    .CfuPlugin_logic_bus_cmd_payload_function_id        (cfu_cmd_function_id_o),
    .CfuPlugin_logic_bus_cmd_payload_inputs_0           (cfu_cmd_inputs_0_o),
    .CfuPlugin_logic_bus_cmd_payload_inputs_1           (cfu_cmd_inputs_1_o),
    .CfuPlugin_logic_bus_rsp_valid                      (cfu_rsp_valid_i),
    .CfuPlugin_logic_bus_rsp_ready                      (cfu_rsp_ready_o),
    .CfuPlugin_logic_bus_rsp_payload_outputs_0          (cfu_rsp_outputs_0_i)
  );
  /* verilator lint_on PINMISSING */

  vexii_bus_bridge #(.IdWidth(FetchIdWidth)) u_fetch_bridge (
    .clk_i,
    .rst_ni,
    .cmd_valid_i   (fetch_cmd_valid),
    .cmd_ready_o   (fetch_cmd_ready),
    .cmd_id_i      (fetch_cmd_id),
    .cmd_write_i   (1'b0),
    .cmd_address_i (fetch_cmd_address),
    .cmd_data_i    (32'd0),
    .cmd_mask_i    (4'b1111),
    .rsp_valid_o   (fetch_rsp_valid),
    .rsp_id_o      (fetch_rsp_id),
    .rsp_error_o   (fetch_rsp_error),
    .rsp_data_o    (fetch_rsp_word),
    .cyc_o         (ibus_cyc_o),
    .stb_o         (ibus_stb_o),
    .we_o          (fetch_we),
    .adr_o         (ibus_adr_o),
    .wdata_o       (fetch_wdata),
    .sel_o         (fetch_sel),
    .cti_o         (ibus_cti_o),
    .ack_i         (ibus_ack_i),
    .err_i         (ibus_err_i),
    .rdata_i       (ibus_rdata_i)
  );

  vexii_bus_bridge #(.IdWidth(LsuIdWidth)) u_lsu_bridge (
    .clk_i,
    .rst_ni,
    .cmd_valid_i   (lsu_cmd_valid),
    .cmd_ready_o   (lsu_cmd_ready),
    .cmd_id_i      (lsu_cmd_id),
    .cmd_write_i   (lsu_cmd_write),
    .cmd_address_i (lsu_cmd_address),
    .cmd_data_i    (lsu_cmd_data),
    .cmd_mask_i    (lsu_cmd_mask),
    .rsp_valid_o   (lsu_rsp_valid),
    .rsp_id_o      (lsu_rsp_id),
    .rsp_error_o   (lsu_rsp_error),
    .rsp_data_o    (lsu_rsp_data),
    .cyc_o         (dbus_cyc_o),
    .stb_o         (dbus_stb_o),
    .we_o          (dbus_we_o),
    .adr_o         (dbus_adr_o),
    .wdata_o       (dbus_wdata_o),
    .sel_o         (dbus_sel_o),
    .cti_o         (dbus_cti_o),
    .ack_i         (dbus_ack_i),
    .err_i         (dbus_err_i),
    .rdata_i       (dbus_rdata_i)
  );

endmodule
