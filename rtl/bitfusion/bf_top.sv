// The accelerator: control unit and datapath, an AXI4 master for memory and an AXI4-Lite slave for its registers. README.md has the machine.
module bf_top #(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned BusBits    = 256,
  parameter int unsigned IbufBytes  = 32 * 1024,
  parameter int unsigned WbufBytes  = 64 * 1024,
  parameter int unsigned ObufBytes  = 16 * 1024,
  parameter int unsigned PatchDepth = 64,
  parameter int unsigned ParamDepth = 32,
  parameter int unsigned Build      = bf_pkg::BuildStructural
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  // Registers
  input  logic                 s_axil_awvalid_i,
  output logic                 s_axil_awready_o,
  input  logic [15:0]          s_axil_awaddr_i,
  input  logic                 s_axil_wvalid_i,
  output logic                 s_axil_wready_o,
  input  logic [31:0]          s_axil_wdata_i,
  input  logic [3:0]           s_axil_wstrb_i,
  output logic                 s_axil_bvalid_o,
  input  logic                 s_axil_bready_i,
  output logic [1:0]           s_axil_bresp_o,
  input  logic                 s_axil_arvalid_i,
  output logic                 s_axil_arready_o,
  input  logic [15:0]          s_axil_araddr_i,
  output logic                 s_axil_rvalid_o,
  input  logic                 s_axil_rready_i,
  output logic [31:0]          s_axil_rdata_o,
  output logic [1:0]           s_axil_rresp_o,
  output logic                 busy_o,            // a program runs; its falling edge is the interrupt

  // Memory
  output logic                 m_axi_awvalid_o,
  input  logic                 m_axi_awready_i,
  output logic [3:0]           m_axi_awid_o,
  output logic [31:0]          m_axi_awaddr_o,
  output logic [7:0]           m_axi_awlen_o,
  output logic [2:0]           m_axi_awsize_o,
  output logic [1:0]           m_axi_awburst_o,
  output logic                 m_axi_wvalid_o,
  input  logic                 m_axi_wready_i,
  output logic [BusBits-1:0]   m_axi_wdata_o,
  output logic [BusBits/8-1:0] m_axi_wstrb_o,
  output logic                 m_axi_wlast_o,
  input  logic                 m_axi_bvalid_i,
  output logic                 m_axi_bready_o,
  input  logic [3:0]           m_axi_bid_i,
  input  logic [1:0]           m_axi_bresp_i,
  output logic                 m_axi_arvalid_o,
  input  logic                 m_axi_arready_i,
  output logic [3:0]           m_axi_arid_o,
  output logic [31:0]          m_axi_araddr_o,
  output logic [7:0]           m_axi_arlen_o,
  output logic [2:0]           m_axi_arsize_o,
  output logic [1:0]           m_axi_arburst_o,
  input  logic                 m_axi_rvalid_i,
  output logic                 m_axi_rready_o,
  input  logic [3:0]           m_axi_rid_i,
  input  logic [BusBits-1:0]   m_axi_rdata_i,
  input  logic [1:0]           m_axi_rresp_i,
  input  logic                 m_axi_rlast_i
);

  logic               run_valid, run_ready, sem_input_valid, sem_weight_valid, runs_idle, stores_idle, error_valid, stop;
  bf_pkg::run_t       run;
  logic [3:0]         sem_input, sem_weight;
  bf_pkg::error_e     error;
  logic [31:0]        mem_base, mem_bytes, buf_addr;
  logic               buf_we, token, wait_patch, wait_store, gather_busy;
  bf_pkg::buffer_e    buf_sel;
  logic [BusBits-1:0] buf_data;

  bf_control #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth), .Build(Build)
  ) u_control (
    .clk_i, .rst_ni,
    .s_axil_awvalid_i, .s_axil_awready_o, .s_axil_awaddr_i,
    .s_axil_wvalid_i, .s_axil_wready_o, .s_axil_wdata_i, .s_axil_wstrb_i,
    .s_axil_bvalid_o, .s_axil_bready_i, .s_axil_bresp_o,
    .s_axil_arvalid_i, .s_axil_arready_o, .s_axil_araddr_i,
    .s_axil_rvalid_o, .s_axil_rready_i, .s_axil_rdata_o, .s_axil_rresp_o,
    .busy_o,
    .m_axi_arvalid_o, .m_axi_arready_i, .m_axi_arid_o, .m_axi_araddr_o, .m_axi_arlen_o, .m_axi_arsize_o, .m_axi_arburst_o,
    .m_axi_rvalid_i, .m_axi_rready_o, .m_axi_rid_i, .m_axi_rdata_i, .m_axi_rresp_i,
    .run_valid_o       (run_valid),
    .run_ready_i       (run_ready),
    .run_o             (run),
    .sem_input_valid_i (sem_input_valid),
    .sem_input_i       (sem_input),
    .sem_weight_valid_i(sem_weight_valid),
    .sem_weight_i      (sem_weight),
    .runs_idle_i       (runs_idle),
    .stores_idle_i     (stores_idle),
    .error_valid_i     (error_valid),
    .error_i           (error),
    .stop_o            (stop),
    .mem_base_o        (mem_base),
    .mem_bytes_o       (mem_bytes),
    .buf_we_o          (buf_we),
    .buf_sel_o         (buf_sel),
    .buf_addr_o        (buf_addr),
    .buf_data_o        (buf_data),
    .token_i           (token),
    .wait_patch_i      (wait_patch),
    .wait_store_i      (wait_store),
    .gather_busy_i     (gather_busy),
    .beat_written_i    (m_axi_wvalid_o & m_axi_wready_i)
  );

  bf_exec #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth), .Build(Build)
  ) u_exec (
    .clk_i, .rst_ni,
    .run_valid_i       (run_valid),
    .run_ready_o       (run_ready),
    .run_i             (run),
    .sem_input_valid_o (sem_input_valid),
    .sem_input_o       (sem_input),
    .sem_weight_valid_o(sem_weight_valid),
    .sem_weight_o      (sem_weight),
    .runs_idle_o       (runs_idle),
    .stores_idle_o     (stores_idle),
    .error_valid_o     (error_valid),
    .error_o           (error),
    .stop_i            (stop),
    .mem_base_i        (mem_base),
    .mem_bytes_i       (mem_bytes),
    .buf_we_i          (buf_we),
    .buf_sel_i         (buf_sel),
    .buf_addr_i        (buf_addr),
    .buf_data_i        (buf_data),
    .token_o           (token),
    .wait_patch_o      (wait_patch),
    .wait_store_o      (wait_store),
    .gather_busy_o     (gather_busy),
    .m_axi_awvalid_o, .m_axi_awready_i, .m_axi_awid_o, .m_axi_awaddr_o, .m_axi_awlen_o, .m_axi_awsize_o, .m_axi_awburst_o,
    .m_axi_wvalid_o, .m_axi_wready_i, .m_axi_wdata_o, .m_axi_wstrb_o, .m_axi_wlast_o,
    .m_axi_bvalid_i, .m_axi_bready_o, .m_axi_bid_i, .m_axi_bresp_i
  );

  // Lengths are known when bursts are requested.
  logic unused_ok;
  assign unused_ok = &{1'b0, m_axi_rlast_i};

endmodule
