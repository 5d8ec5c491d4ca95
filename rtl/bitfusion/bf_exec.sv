// Datapath: gather in front, array and stores behind. A run goes to both at once; the front end is ahead by what the patch FIFO holds.
module bf_exec
  import bf_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned BusBits    = 256,
  parameter int unsigned IbufBytes  = 32 * 1024,
  parameter int unsigned WbufBytes  = 64 * 1024,
  parameter int unsigned ObufBytes  = 16 * 1024,
  parameter int unsigned PatchDepth = 64,
  parameter int unsigned ParamDepth = 32,
  parameter int unsigned Build      = BuildStructural
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic                 run_valid_i,
  output logic                 run_ready_o,
  input  run_t                 run_i,
  output logic                 sem_input_valid_o,   // pulse: the run's sem_input
  output logic [3:0]           sem_input_o,
  output logic                 sem_weight_valid_o,  // pulse: its sem_weight
  output logic [3:0]           sem_weight_o,
  output logic                 runs_idle_o,         // no accepted run is unfinished
  output logic                 stores_idle_o,       // every write is acknowledged
  output logic                 error_valid_o,
  output error_e               error_o,
  input  logic                 stop_i,              // discard everything that is not an AXI write under way

  input  logic [31:0]          mem_base_i,
  input  logic [31:0]          mem_bytes_i,
  input  logic                 buf_we_i,
  input  buffer_e              buf_sel_i,
  input  logic [31:0]          buf_addr_i,          // beat
  input  logic [BusBits-1:0]   buf_data_i,

  output logic                 token_o,
  output logic                 wait_patch_o,
  output logic                 wait_store_o,
  output logic                 gather_busy_o,

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
  input  logic [1:0]           m_axi_bresp_i
);

  logic               front_ready, back_ready, front_idle, back_idle;
  logic               chunk_valid, chunk_ready;
  logic [32*Rows-1:0] chunk_data;
  logic [4*Rows-1:0]  chunk_mask;

  assign run_ready_o = front_ready & back_ready;
  assign runs_idle_o = front_idle & back_idle;

  bf_front #(.Rows(Rows), .BusBits(BusBits), .IbufBytes(IbufBytes), .PatchDepth(PatchDepth), .Build(Build)) u_front (
    .clk_i, .rst_ni, .stop_i,
    .run_valid_i   (run_valid_i & back_ready),
    .run_ready_o   (front_ready),
    .run_i,
    .ibuf_we_i     (buf_we_i & (buf_sel_i == BufInput)),
    .ibuf_addr_i   (buf_addr_i),
    .ibuf_data_i   (buf_data_i),
    .sem_input_valid_o, .sem_input_o,
    .chunk_valid_o (chunk_valid),
    .chunk_ready_i (chunk_ready),
    .chunk_data_o  (chunk_data),
    .chunk_mask_o  (chunk_mask),
    .busy_o        (gather_busy_o),
    .idle_o        (front_idle)
  );

  bf_back #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes), .ParamDepth(ParamDepth), .Build(Build)
  ) u_back (
    .clk_i, .rst_ni, .stop_i,
    .run_valid_i   (run_valid_i & front_ready),
    .run_ready_o   (back_ready),
    .run_i,
    .chunk_valid_i (chunk_valid),
    .chunk_ready_o (chunk_ready),
    .chunk_data_i  (chunk_data),
    .chunk_mask_i  (chunk_mask),
    .buf_we_i, .buf_sel_i, .buf_addr_i, .buf_data_i,
    .sem_weight_valid_o, .sem_weight_o,
    .runs_idle_o   (back_idle),
    .stores_idle_o, .error_valid_o, .error_o,
    .token_o, .wait_patch_o, .wait_store_o,
    .mem_base_i, .mem_bytes_i,
    .m_axi_awvalid_o, .m_axi_awready_i, .m_axi_awaddr_o, .m_axi_awlen_o, .m_axi_awsize_o, .m_axi_awburst_o, .m_axi_awid_o,
    .m_axi_wvalid_o, .m_axi_wready_i, .m_axi_wdata_o, .m_axi_wstrb_o, .m_axi_wlast_o,
    .m_axi_bvalid_i, .m_axi_bready_o, .m_axi_bresp_i, .m_axi_bid_i
  );

endmodule
