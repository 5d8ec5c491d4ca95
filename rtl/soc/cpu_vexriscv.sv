// VexRiscv (FullCfu netlist: RV32IM, 4 KiB caches, CFU port) in the CPU socket.
// The netlist waits for ACK alone: an error ends the beat too, reads 0 (an illegal instruction), and is counted in the
// info block. Addresses from 0x8000_0000 on are not cached.
//
// Its custom function unit must be ready while it asks for nothing. A custom instruction that has been accepted but waits
// in the execute stage, behind a division for instance, else leaves a flag behind ("hold") for as long as the unit is not
// ready, and the instruction next to it then issues a command of its own and takes the unit's answer for its result.
// A unit that is ready when its answer can be taken, as simd_unit, is not ready just then.
//
// SOC_GATE_CORE defined, for simulators: no clock edge while the core does nothing but offer a custom instruction that is not
// accepted. It needs the registers named below in the netlist: a macro, as names are looked up in branches not taken, too.
module cpu_vexriscv (
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

  logic        ibus_we, unused;
  logic [31:0] ibus_wdata;
  logic [3:0]  ibus_sel;
  logic [1:0]  ibus_bte, dbus_bte;

  // The core counts its cycles itself; its fetches are reads of words in linear bursts.
  assign unused = ^{time_i, ibus_we, ibus_wdata, ibus_sel, ibus_bte, dbus_bte};

  logic core_clk;
  assign bus_clk_o = core_clk;
`ifdef SOC_GATE_CORE
  // Nothing changes in the core once the stages behind the waiting instruction are empty, its caches are not being flushed, its
  // buses have been at rest for SettleCycles, and so have the interrupts: more cycles than the stages before it have registers.
  localparam logic [2:0] SettleCycles = 3'd7;
  logic       still, rests;
  logic [2:0] irq, irq_q, settled_q;

  assign irq   = {irq_timer_i, irq_software_i, irq_external_i};
  assign still = cfu_cmd_valid_o & ~cfu_cmd_ready_i & ~cfu_rsp_valid_i & ~ibus_cyc_o & ~dbus_cyc_o & (irq == irq_q)
               & ~u_core.memory_arbitration_isValid & ~u_core.writeBack_arbitration_isValid
               & u_core.IBusCachedPlugin_cache.lineLoader_flushCounter[7]
               & ~u_core.IBusCachedPlugin_cache.lineLoader_flushPending & u_core.dataCache_1.stageB_flusher_counter[7];
  assign rests = still & (settled_q == SettleCycles);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      irq_q     <= '0;
      settled_q <= '0;
    end else begin
      irq_q     <= irq;
      settled_q <= !still ? '0 : rests ? settled_q : settled_q + 3'd1;
    end
  end

  clock_gate u_gate (
    .clk_i,
    .en_i  (~rests),
    .clk_o (core_clk)
  );
  // What its count of cycles has missed is added in the middle of its first cycle behind a rest.
  logic        wakes_q, wake_clk;
  logic [63:0] rested_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wakes_q  <= 1'b0;
      rested_q <= '0;
    end else begin
      wakes_q <= ~rests & (settled_q == SettleCycles);
      if (rests)        rested_q <= rested_q + 64'd1;
      else if (wakes_q) rested_q <= '0;
    end
  end
  assign wake_clk = ~clk_i & wakes_q;
  always_ff @(posedge wake_clk) u_core.CsrPlugin_mcycle <= u_core.CsrPlugin_mcycle + rested_q;
`else
  assign core_clk = clk_i;
`endif

  VexRiscv u_core (
    .clk                                    (core_clk),
    .reset                                  (~rst_ni),
    .externalResetVector                    (reset_vector_i),
    .timerInterrupt                         (irq_timer_i),
    .softwareInterrupt                      (irq_software_i),
    .externalInterruptArray                 ({31'd0, irq_external_i}),
    .CfuPlugin_bus_cmd_valid                (cfu_cmd_valid_o),
    .CfuPlugin_bus_cmd_ready                (cfu_cmd_ready_i | ~cfu_cmd_valid_o),
    .CfuPlugin_bus_cmd_payload_function_id  (cfu_cmd_function_id_o),
    .CfuPlugin_bus_cmd_payload_inputs_0     (cfu_cmd_inputs_0_o),
    .CfuPlugin_bus_cmd_payload_inputs_1     (cfu_cmd_inputs_1_o),
    .CfuPlugin_bus_rsp_valid                (cfu_rsp_valid_i),
    .CfuPlugin_bus_rsp_ready                (cfu_rsp_ready_o),
    .CfuPlugin_bus_rsp_payload_outputs_0    (cfu_rsp_outputs_0_i),
    .iBusWishbone_CYC                       (ibus_cyc_o),
    .iBusWishbone_STB                       (ibus_stb_o),
    .iBusWishbone_ACK                       (ibus_ack_i | ibus_err_i),
    .iBusWishbone_WE                        (ibus_we),
    .iBusWishbone_ADR                       (ibus_adr_o),
    .iBusWishbone_DAT_MISO                  (ibus_rdata_i),
    .iBusWishbone_DAT_MOSI                  (ibus_wdata),
    .iBusWishbone_SEL                       (ibus_sel),
    .iBusWishbone_ERR                       (ibus_err_i),
    .iBusWishbone_CTI                       (ibus_cti_o),
    .iBusWishbone_BTE                       (ibus_bte),
    .dBusWishbone_CYC                       (dbus_cyc_o),
    .dBusWishbone_STB                       (dbus_stb_o),
    .dBusWishbone_ACK                       (dbus_ack_i | dbus_err_i),
    .dBusWishbone_WE                        (dbus_we_o),
    .dBusWishbone_ADR                       (dbus_adr_o),
    .dBusWishbone_DAT_MISO                  (dbus_rdata_i),
    .dBusWishbone_DAT_MOSI                  (dbus_wdata_o),
    .dBusWishbone_SEL                       (dbus_sel_o),
    .dBusWishbone_ERR                       (dbus_err_i),
    .dBusWishbone_CTI                       (dbus_cti_o),
    .dBusWishbone_BTE                       (dbus_bte)
  );

endmodule
