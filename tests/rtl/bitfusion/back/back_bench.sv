// Builds of the back end side by side on the same inputs: functional, timing, and structural where Builds = 3. Says where their handshakes
// differ in a cycle, or what they write if they have a datapath. Outputs are those of the first.
module back_bench
  import bf_pkg::*;
#(
  parameter int unsigned Rows       = 4,
  parameter int unsigned Cols       = 4,
  parameter int unsigned BusBits    = 128,
  parameter int unsigned WbufBytes  = 2048,
  parameter int unsigned ObufBytes  = 512,
  parameter int unsigned ParamDepth = 16,
  parameter int unsigned Builds     = 2
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 stop_i,
  input  logic                 run_valid_i,
  input  run_t                 run_i,
  input  logic                 chunk_valid_i,
  input  logic [32*Rows-1:0]   chunk_data_i,
  input  logic [4*Rows-1:0]    chunk_mask_i,
  input  logic                 buf_we_i,
  input  logic [1:0]           buf_sel_i,
  input  logic [31:0]          buf_addr_i,
  input  logic [BusBits-1:0]   buf_data_i,
  input  logic [31:0]          mem_base_i,
  input  logic [31:0]          mem_bytes_i,
  input  logic                 awready_i,
  input  logic                 wready_i,
  input  logic                 bvalid_i,
  input  logic [1:0]           bresp_i,
  output logic [31:0]          awaddr_o,
  output logic [BusBits-1:0]   wdata_o,
  output logic [BusBits/8-1:0] wstrb_o,
  // mismatch, wlast, bready, wait_store, wait_patch, token, error (8), error_valid, stores_idle, runs_idle, sem (4), sem_valid,
  // wvalid, awvalid, chunk_ready, run_ready
  output logic [25:0]          status_o
);

  logic [31:0]          awaddr [Builds];
  logic [BusBits-1:0]   wdata [Builds];
  logic [BusBits/8-1:0] wstrb [Builds];
  logic [24:0]          status [Builds];
  logic [16:0]          constants [Builds];

  for (genvar i = 0; i < Builds; i++) begin : gen_build
    error_e error;
    bf_back #(
      .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes), .ParamDepth(ParamDepth),
      .Build(i == 0 ? BuildFunctional : i == 1 ? BuildTiming : BuildStructural)
    ) u_back (
      .clk_i, .rst_ni, .stop_i,
      .run_valid_i,
      .run_ready_o        (status[i][0]),
      .run_i,
      .chunk_valid_i,
      .chunk_ready_o      (status[i][1]),
      .chunk_data_i, .chunk_mask_i,
      .buf_we_i,
      .buf_sel_i          (buffer_e'(buf_sel_i)),
      .buf_addr_i, .buf_data_i,
      .sem_weight_valid_o (status[i][4]),
      .sem_weight_o       (status[i][8:5]),
      .runs_idle_o        (status[i][9]),
      .stores_idle_o      (status[i][10]),
      .error_valid_o      (status[i][11]),
      .error_o            (error),
      .token_o            (status[i][20]),
      .wait_patch_o       (status[i][21]),
      .wait_store_o       (status[i][22]),
      .mem_base_i, .mem_bytes_i,
      .m_axi_awvalid_o    (status[i][2]),
      .m_axi_awready_i    (awready_i),
      .m_axi_awaddr_o     (awaddr[i]),
      .m_axi_awlen_o      (constants[i][7:0]),
      .m_axi_awsize_o     (constants[i][10:8]),
      .m_axi_awburst_o    (constants[i][12:11]),
      .m_axi_awid_o       (constants[i][16:13]),
      .m_axi_wvalid_o     (status[i][3]),
      .m_axi_wready_i     (wready_i),
      .m_axi_wdata_o      (wdata[i]),
      .m_axi_wstrb_o      (wstrb[i]),
      .m_axi_wlast_o      (status[i][24]),
      .m_axi_bvalid_i     (bvalid_i),
      .m_axi_bready_o     (status[i][23]),
      .m_axi_bresp_i      (bresp_i),
      .m_axi_bid_i        (4'd0)
    );
    assign status[i][19:12] = error;
  end

  logic mismatch;
  always_comb begin
    // Constant outputs are as AXI4 wants them: beats of the bus's width, a burst of one, incrementing.
    mismatch = constants[0] != {4'd0, 2'b01, 3'($clog2(BusBits / 8)), 8'd0};
    for (int unsigned i = 1; i < Builds; i++) begin
      mismatch |= status[0] != status[i] || constants[0] != constants[i]
                  || (status[0][2] && awaddr[0] != awaddr[i]) || (status[0][3] && wstrb[0] != wstrb[i]);
      if (status[0][3] && i != 1) begin
        for (int unsigned b = 0; b < BusBits / 8; b++) mismatch |= wstrb[0][b] && wdata[0][8*b +: 8] != wdata[i][8*b +: 8];
      end
    end
  end
  assign status_o = {mismatch, status[0]};
  assign awaddr_o = awaddr[0];
  assign wdata_o  = wdata[0];
  assign wstrb_o  = wstrb[0];

endmodule
