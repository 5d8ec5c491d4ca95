// CPU socket: the bundle every core is fitted to, and the choice of the filling. README.md explains the bundle.
module cpu_socket #(
  parameter int unsigned CpuKind      = soc_pkg::CpuVexRiscv,
  parameter int unsigned FetchIdWidth = 1,    // VexiiRiscv: width of the ids on its buses, as the netlist has them
  parameter int unsigned LsuIdWidth   = 1
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [31:0] reset_vector_i,
  input  logic [63:0] time_i,
  input  logic        irq_timer_i,
  input  logic        irq_software_i,
  input  logic        irq_external_i,

  output logic        bus_clk_o,      // clk_i, or a gate's, which may rest while both buses do

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

  if (CpuKind == soc_pkg::CpuVexRiscv) begin : gen_vexriscv
    logic unused;
    assign unused = ^{FetchIdWidth, LsuIdWidth};

    cpu_vexriscv u_cpu (
      .clk_i,
      .rst_ni,
      .reset_vector_i,
      .time_i,
      .irq_timer_i,
      .irq_software_i,
      .irq_external_i,
      .bus_clk_o,
      .ibus_cyc_o,
      .ibus_stb_o,
      .ibus_adr_o,
      .ibus_cti_o,
      .ibus_ack_i,
      .ibus_err_i,
      .ibus_rdata_i,
      .dbus_cyc_o,
      .dbus_stb_o,
      .dbus_we_o,
      .dbus_adr_o,
      .dbus_wdata_o,
      .dbus_sel_o,
      .dbus_cti_o,
      .dbus_ack_i,
      .dbus_err_i,
      .dbus_rdata_i,
      .cfu_cmd_valid_o,
      .cfu_cmd_ready_i,
      .cfu_cmd_function_id_o,
      .cfu_cmd_inputs_0_o,
      .cfu_cmd_inputs_1_o,
      .cfu_rsp_valid_i,
      .cfu_rsp_ready_o,
      .cfu_rsp_outputs_0_i
    );
  end else if (CpuKind == soc_pkg::CpuVexiiRiscv) begin : gen_vexiiriscv
    cpu_vexiiriscv #(.FetchIdWidth(FetchIdWidth), .LsuIdWidth(LsuIdWidth)) u_cpu (
      .clk_i,
      .rst_ni,
      .reset_vector_i,
      .time_i,
      .irq_timer_i,
      .irq_software_i,
      .irq_external_i,
      .bus_clk_o,
      .ibus_cyc_o,
      .ibus_stb_o,
      .ibus_adr_o,
      .ibus_cti_o,
      .ibus_ack_i,
      .ibus_err_i,
      .ibus_rdata_i,
      .dbus_cyc_o,
      .dbus_stb_o,
      .dbus_we_o,
      .dbus_adr_o,
      .dbus_wdata_o,
      .dbus_sel_o,
      .dbus_cti_o,
      .dbus_ack_i,
      .dbus_err_i,
      .dbus_rdata_i,
      .cfu_cmd_valid_o,
      .cfu_cmd_ready_i,
      .cfu_cmd_function_id_o,
      .cfu_cmd_inputs_0_o,
      .cfu_cmd_inputs_1_o,
      .cfu_rsp_valid_i,
      .cfu_rsp_ready_o,
      .cfu_rsp_outputs_0_i
    );
  end else begin : gen_unknown
    $error("cpu_socket: no such CpuKind");
  end

endmodule
