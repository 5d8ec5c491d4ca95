// The SoC: CPU socket, boot ROM, dual-port RAM, UART, timer, GPIO, info block and, as the core's custom function unit, the SIMD
// unit, whose streaming engine has the RAM's second port. README.md has the block diagram and the memory map.
module soc_top #(
  parameter int unsigned CpuKind      = soc_pkg::CpuVexRiscv,
  parameter int unsigned FetchIdWidth = 1,                  // of a VexiiRiscv netlist
  parameter int unsigned LsuIdWidth   = 1,
  parameter int unsigned RamBytes     = 4 * 1024 * 1024,    // multiple of 4, at most 256 MiB
  parameter int unsigned RamLatency   = 0,                  // wait states per RAM access, see dual_port_ram
  parameter bit          RomWait      = 1'b0,               // 1: one wait state per word of the boot ROM, see soc_rom
  parameter              RomFile      = "",                 // contents of the boot ROM in synthesis
  parameter int unsigned ClockHz      = 50_000_000,
  parameter logic [31:0] BuildId      = '0,
  parameter int unsigned Simd         = 2,                  // SIMD_VERSION: 0 a custom instruction answers 0, 1 dot
                                                            // products, 2 the streaming engine too
  parameter int unsigned Lanes        = 4,                  // of the streaming engine: 1, 2 or 4
  parameter int unsigned BufWords     = 2048,               // words of each of its lane buffers, a power of two
  parameter bit          CfuRegister  = 1'b0,               // 1: registers between core and unit, see cfu_register, and in
                                                            // its dot products, see simd_unit
  parameter bit          GateClock    = 1'b0,               // 1: the streaming engine's clock rests when it does
  parameter bit          UartByteMode = 1'b0                // 1: the UART moves whole bytes, see soc_uart
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        uart_rx_i,
  output logic        uart_tx_o,
  input  logic [31:0] gpio_i,
  output logic [31:0] gpio_o,

  input  logic        byte_rx_valid_i,
  input  logic [7:0]  byte_rx_data_i,
  output logic        byte_rx_take_o,
  output logic        byte_rx_status_o,
  output logic        byte_rx_irq_enable_o,
  output logic        byte_tx_valid_o,
  output logic [7:0]  byte_tx_data_o,

  output logic        timer_read_o,          // for simulators: the core looks at the time in this cycle,
  output logic        fault_o,               // or meets a bus error, at this address
  output logic [31:2] fault_adr_o
);

  import soc_pkg::*;

  localparam int unsigned UartBaud = 115_200;

  logic             bus_clk;
  logic             ibus_cyc, ibus_stb, ibus_ack, ibus_err;
  logic [31:2]      ibus_adr;
  logic [2:0]       ibus_cti;
  logic             dbus_cyc, dbus_stb, dbus_we, dbus_ack, dbus_err;
  logic [31:2]      dbus_adr;
  logic [31:0]      dbus_wdata;
  logic [3:0]       dbus_sel;
  logic [2:0]       dbus_cti;
  logic [31:0]      rdata;
  logic             cfu_cmd_valid, cfu_cmd_ready, cfu_rsp_valid, cfu_rsp_ready;
  logic [9:0]       cfu_cmd_function_id;
  logic [31:0]      cfu_cmd_inputs_0, cfu_cmd_inputs_1, cfu_rsp_outputs_0;
  logic             core_cmd_valid, core_cmd_ready, core_rsp_valid, core_rsp_ready;
  logic [9:0]       core_cmd_function_id;
  logic [31:0]      core_cmd_inputs_0, core_cmd_inputs_1, core_rsp_outputs_0;
  logic [63:0]      cycles;
  logic             irq_timer, irq_software, irq_uart, irq_fault;

  logic                          rom_valid, rom_ack;
  logic [$clog2(RomBytes/4)-1:0] rom_adr;
  logic [31:0]                   rom_rdata;
  logic                          ram_cyc, ram_stb, ram_we, ram_ack;
  logic [$clog2(RamBytes/4)-1:0] ram_adr;
  logic [31:0]                   ram_wdata, ram_rdata;
  logic [3:0]                    ram_sel;
  logic [2:0]                    ram_cti;
  logic                          mem_req, mem_we, mem_gnt, mem_rvalid;
  logic [3:0]                    mem_be;
  logic [31:0]                   mem_addr, mem_wdata, mem_rdata;
  logic                          engine_busy, engine_stall;
  logic [IoBlocks-1:0]           io_valid;
  logic                          io_we;
  logic [11:2]                   io_adr;
  logic [31:0]                   io_wdata;
  logic [IoBlocks-1:0][31:0]     io_rdata;

  assign timer_read_o = io_valid[IoTimer] & ~io_we;

  cpu_socket #(
    .CpuKind      (CpuKind),
    .FetchIdWidth (FetchIdWidth),
    .LsuIdWidth   (LsuIdWidth)
  ) u_socket (
    .clk_i,
    .rst_ni,
    .bus_clk_o             (bus_clk),
    .reset_vector_i        (RomBase),
    .time_i                (cycles),
    .irq_timer_i           (irq_timer),
    .irq_software_i        (irq_software),
    .irq_external_i        (irq_uart | irq_fault),
    .ibus_cyc_o            (ibus_cyc),
    .ibus_stb_o            (ibus_stb),
    .ibus_adr_o            (ibus_adr),
    .ibus_cti_o            (ibus_cti),
    .ibus_ack_i            (ibus_ack),
    .ibus_err_i            (ibus_err),
    .ibus_rdata_i          (rdata),
    .dbus_cyc_o            (dbus_cyc),
    .dbus_stb_o            (dbus_stb),
    .dbus_we_o             (dbus_we),
    .dbus_adr_o            (dbus_adr),
    .dbus_wdata_o          (dbus_wdata),
    .dbus_sel_o            (dbus_sel),
    .dbus_cti_o            (dbus_cti),
    .dbus_ack_i            (dbus_ack),
    .dbus_err_i            (dbus_err),
    .dbus_rdata_i          (rdata),
    .cfu_cmd_valid_o       (core_cmd_valid),
    .cfu_cmd_ready_i       (core_cmd_ready),
    .cfu_cmd_function_id_o (core_cmd_function_id),
    .cfu_cmd_inputs_0_o    (core_cmd_inputs_0),
    .cfu_cmd_inputs_1_o    (core_cmd_inputs_1),
    .cfu_rsp_valid_i       (core_rsp_valid),
    .cfu_rsp_ready_o       (core_rsp_ready),
    .cfu_rsp_outputs_0_i   (core_rsp_outputs_0)
  );

  if (CfuRegister) begin : gen_cfu_register
    cfu_register u_cfu_register (
      .clk_i,
      .rst_ni,
      .cmd_valid_i            (core_cmd_valid),
      .cmd_ready_o            (core_cmd_ready),
      .cmd_function_id_i      (core_cmd_function_id),
      .cmd_inputs_0_i         (core_cmd_inputs_0),
      .cmd_inputs_1_i         (core_cmd_inputs_1),
      .rsp_valid_o            (core_rsp_valid),
      .rsp_ready_i            (core_rsp_ready),
      .rsp_outputs_0_o        (core_rsp_outputs_0),
      .unit_cmd_valid_o       (cfu_cmd_valid),
      .unit_cmd_ready_i       (cfu_cmd_ready),
      .unit_cmd_function_id_o (cfu_cmd_function_id),
      .unit_cmd_inputs_0_o    (cfu_cmd_inputs_0),
      .unit_cmd_inputs_1_o    (cfu_cmd_inputs_1),
      .unit_rsp_valid_i       (cfu_rsp_valid),
      .unit_rsp_ready_o       (cfu_rsp_ready),
      .unit_rsp_outputs_0_i   (cfu_rsp_outputs_0)
    );
  end else begin : gen_cfu_direct
    assign cfu_cmd_valid       = core_cmd_valid;
    assign core_cmd_ready      = cfu_cmd_ready;
    assign cfu_cmd_function_id = core_cmd_function_id;
    assign cfu_cmd_inputs_0    = core_cmd_inputs_0;
    assign cfu_cmd_inputs_1    = core_cmd_inputs_1;
    assign core_rsp_valid      = cfu_rsp_valid;
    assign cfu_rsp_ready       = core_rsp_ready;
    assign core_rsp_outputs_0  = cfu_rsp_outputs_0;
  end

  if (Simd == 2) begin : gen_stream
    // The engine's clock: from a command on offer until a few cycles after its work, in which what is left in its pipelines drains.
    localparam logic [3:0] DrainCycles = 4'd15;
    logic       stream_clk, active;
    logic [3:0] awake_q;

    assign active = (cfu_cmd_valid & (CfuRegister | (cfu_cmd_function_id[6:3] == 4'd0))) | engine_busy;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni)             awake_q <= DrainCycles;
      else if (active)         awake_q <= DrainCycles;
      else if (awake_q != '0)  awake_q <= awake_q - 4'd1;
    end

    clock_gate #(.Gate(GateClock)) u_gate (
      .clk_i,
      .en_i  (active | (awake_q != '0)),
      .clk_o (stream_clk)
    );

    simd_top #(
      .Lanes     (Lanes),
      .BufWords  (BufWords),
      .Pipeline  (CfuRegister),
      .RamBase   (RamBase),
      .RamBytes  (RamBytes),
      .GateClock (GateClock)
    ) u_simd (
      .clk_i             (stream_clk),
      .rst_ni,
      .cmd_valid_i       (cfu_cmd_valid),
      .cmd_ready_o       (cfu_cmd_ready),
      .cmd_function_id_i (cfu_cmd_function_id),
      .cmd_inputs_0_i    (cfu_cmd_inputs_0),
      .cmd_inputs_1_i    (cfu_cmd_inputs_1),
      .rsp_valid_o       (cfu_rsp_valid),
      .rsp_ready_i       (cfu_rsp_ready),
      .rsp_outputs_0_o   (cfu_rsp_outputs_0),
      .mem_req_o         (mem_req),
      .mem_we_o          (mem_we),
      .mem_be_o          (mem_be),
      .mem_addr_o        (mem_addr),
      .mem_wdata_o       (mem_wdata),
      .mem_gnt_i         (mem_gnt),
      .mem_rvalid_i      (mem_rvalid),
      .mem_rdata_i       (mem_rdata),
      .busy_o            (engine_busy),
      .stall_o           (engine_stall)
    );
  end else begin : gen_no_stream
    logic unused;
    assign unused       = ^{Lanes, BufWords, mem_gnt, mem_rvalid, mem_rdata};
    assign mem_req      = 1'b0;
    assign mem_we       = 1'b0;
    assign mem_be       = '0;
    assign mem_addr     = '0;
    assign mem_wdata    = '0;
    assign engine_busy  = 1'b0;
    assign engine_stall = 1'b0;

    if (Simd == 1) begin : gen_simd
      simd_unit #(
        .Pipeline (CfuRegister)
      ) u_simd (
        .clk_i,
        .rst_ni,
        .cmd_valid_i       (cfu_cmd_valid),
        .cmd_ready_o       (cfu_cmd_ready),
        .cmd_function_id_i (cfu_cmd_function_id),
        .cmd_inputs_0_i    (cfu_cmd_inputs_0),
        .cmd_inputs_1_i    (cfu_cmd_inputs_1),
        .rsp_valid_o       (cfu_rsp_valid),
        .rsp_ready_i       (cfu_rsp_ready),
        .rsp_outputs_0_o   (cfu_rsp_outputs_0)
      );
    end else begin : gen_none
      logic unused_cfu;
      assign unused_cfu        = ^{cfu_cmd_function_id, cfu_cmd_inputs_0, cfu_cmd_inputs_1};
      assign cfu_rsp_valid     = cfu_cmd_valid;
      assign cfu_cmd_ready     = cfu_rsp_ready;
      assign cfu_rsp_outputs_0 = '0;
    end
  end

  soc_bus #(.RamBytes(RamBytes)) u_bus (
    .clk_i        (bus_clk),
    .rst_ni,
    .ibus_cyc_i   (ibus_cyc),
    .ibus_stb_i   (ibus_stb),
    .ibus_adr_i   (ibus_adr),
    .ibus_cti_i   (ibus_cti),
    .ibus_ack_o   (ibus_ack),
    .ibus_err_o   (ibus_err),
    .dbus_cyc_i   (dbus_cyc),
    .dbus_stb_i   (dbus_stb),
    .dbus_we_i    (dbus_we),
    .dbus_adr_i   (dbus_adr),
    .dbus_wdata_i (dbus_wdata),
    .dbus_sel_i   (dbus_sel),
    .dbus_cti_i   (dbus_cti),
    .dbus_ack_o   (dbus_ack),
    .dbus_err_o   (dbus_err),
    .rdata_o      (rdata),
    .rom_valid_o  (rom_valid),
    .rom_adr_o    (rom_adr),
    .rom_ack_i    (rom_ack),
    .rom_rdata_i  (rom_rdata),
    .ram_cyc_o    (ram_cyc),
    .ram_stb_o    (ram_stb),
    .ram_we_o     (ram_we),
    .ram_adr_o    (ram_adr),
    .ram_wdata_o  (ram_wdata),
    .ram_sel_o    (ram_sel),
    .ram_cti_o    (ram_cti),
    .ram_ack_i    (ram_ack),
    .ram_rdata_i  (ram_rdata),
    .io_valid_o   (io_valid),
    .io_we_o      (io_we),
    .io_adr_o     (io_adr),
    .io_wdata_o   (io_wdata),
    .io_rdata_i   (io_rdata),
    .fault_o,
    .fault_adr_o
  );

  soc_rom #(.Bytes(RomBytes), .Wait(RomWait), .InitFile(RomFile)) u_rom (
    .clk_i,
    .rst_ni,
    .valid_i (rom_valid),
    .adr_i   (rom_adr),
    .ack_o   (rom_ack),
    .rdata_o (rom_rdata)
  );

  logic unused_mem_addr;
  assign unused_mem_addr = ^{mem_addr[31:$clog2(RamBytes/4)+2], mem_addr[1:0]};    // the engine asks for words of the RAM only

  dual_port_ram #(.Bytes(RamBytes), .Latency(RamLatency)) u_ram (
    .clk_i,
    .rst_ni,
    .cyc_i       (ram_cyc),
    .stb_i       (ram_stb),
    .we_i        (ram_we),
    .adr_i       (ram_adr),
    .wdata_i     (ram_wdata),
    .sel_i       (ram_sel),
    .cti_i       (ram_cti),
    .ack_o       (ram_ack),
    .rdata_o     (ram_rdata),
    .req_i       (mem_req),
    .req_we_i    (mem_we),
    .req_be_i    (mem_be),
    .req_adr_i   (mem_addr[$clog2(RamBytes/4)+1:2]),
    .req_wdata_i (mem_wdata),
    .gnt_o       (mem_gnt),
    .rvalid_o    (mem_rvalid),
    .rsp_rdata_o (mem_rdata)
  );

  soc_info #(
    .BuildId     (BuildId),
    .ClockHz     (ClockHz),
    .CpuKind     (CpuKind),
    .RamBytes    (RamBytes),
    .SimdVersion (Simd),
    .SimdLanes   (Simd == 2 ? Lanes : 0),
    .RamLatency  (RamLatency)
  ) u_info (
    .clk_i,
    .rst_ni,
    .valid_i     (io_valid[IoInfo]),
    .we_i        (io_we),
    .adr_i       (io_adr),
    .rdata_o     (io_rdata[IoInfo]),
    .fault_i     (fault_o),
    .fault_adr_i (fault_adr_o),
    .irq_o       (irq_fault)
  );

  soc_uart #(
    .ByteMode (UartByteMode),
    .Divisor  ((ClockHz + UartBaud / 2) / UartBaud)
  ) u_uart (
    .clk_i,
    .rst_ni,
    .valid_i (io_valid[IoUart]),
    .we_i    (io_we),
    .adr_i   (io_adr),
    .wdata_i (io_wdata),
    .rdata_o (io_rdata[IoUart]),
    .irq_o   (irq_uart),
    .rx_i    (uart_rx_i),
    .tx_o    (uart_tx_o),
    .byte_rx_valid_i,
    .byte_rx_data_i,
    .byte_rx_take_o,
    .byte_rx_status_o,
    .byte_rx_irq_enable_o,
    .byte_tx_valid_o,
    .byte_tx_data_o
  );

  soc_timer u_timer (
    .clk_i,
    .rst_ni,
    .valid_i        (io_valid[IoTimer]),
    .we_i           (io_we),
    .adr_i          (io_adr),
    .wdata_i        (io_wdata),
    .rdata_o        (io_rdata[IoTimer]),
    .cycles_o       (cycles),
    .irq_timer_o    (irq_timer),
    .irq_software_o (irq_software)
  );

  soc_gpio u_gpio (
    .clk_i,
    .rst_ni,
    .valid_i (io_valid[IoGpio]),
    .we_i    (io_we),
    .adr_i   (io_adr),
    .wdata_i (io_wdata),
    .rdata_o (io_rdata[IoGpio]),
    .gpio_i,
    .gpio_o
  );

  soc_profile u_profile (
    .clk_i,
    .rst_ni,
    .valid_i        (io_valid[IoProfile]),
    .we_i           (io_we),
    .adr_i          (io_adr),
    .wdata_i        (io_wdata),
    .rdata_o        (io_rdata[IoProfile]),
    .engine_busy_i  (engine_busy),
    .engine_stall_i (engine_stall),
    .engine_read_i  (mem_req & mem_gnt & ~mem_we),
    .engine_write_i (mem_req & mem_gnt & mem_we),
    .cfu_valid_i    (core_cmd_valid),
    .cfu_ready_i    (core_cmd_ready),
    .ibus_active_i  (ibus_cyc & ibus_stb),
    .ibus_done_i    (ibus_ack | ibus_err),
    .dbus_active_i  (dbus_cyc & dbus_stb),
    .dbus_we_i      (dbus_we),
    .dbus_done_i    (dbus_ack | dbus_err)
  );

endmodule
