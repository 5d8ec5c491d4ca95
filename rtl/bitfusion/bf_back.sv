// Back end: chunks in, results out. Issue, array, accumulators, post-processing, store unit, and the buffers WBUF, PBUF, OBUF.
module bf_back
  import bf_pkg::*;
  import bf_back_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned BusBits    = 256,
  parameter int unsigned WbufBytes  = 64 * 1024,
  parameter int unsigned ObufBytes  = 16 * 1024,
  parameter int unsigned ParamDepth = 32,
  parameter int unsigned Build      = BuildStructural
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 stop_i,              // discard everything that is not an AXI write under way

  input  logic                 run_valid_i,
  output logic                 run_ready_o,
  input  run_t                 run_i,

  input  logic                 chunk_valid_i,
  output logic                 chunk_ready_o,
  input  logic [32*Rows-1:0]   chunk_data_i,
  input  logic [4*Rows-1:0]    chunk_mask_i,

  input  logic                 buf_we_i,
  input  buffer_e              buf_sel_i,
  input  logic [31:0]          buf_addr_i,          // beat
  input  logic [BusBits-1:0]   buf_data_i,

  output logic                 sem_weight_valid_o,
  output logic [3:0]           sem_weight_o,
  output logic                 runs_idle_o,
  output logic                 stores_idle_o,
  output logic                 error_valid_o,
  output error_e               error_o,
  output logic                 token_o,
  output logic                 wait_patch_o,
  output logic                 wait_store_o,

  input  logic [31:0]          mem_base_i,
  input  logic [31:0]          mem_bytes_i,
  output logic                 m_axi_awvalid_o,
  input  logic                 m_axi_awready_i,
  output logic [31:0]          m_axi_awaddr_o,
  output logic [7:0]           m_axi_awlen_o,
  output logic [2:0]           m_axi_awsize_o,
  output logic [1:0]           m_axi_awburst_o,
  output logic [3:0]           m_axi_awid_o,
  output logic                 m_axi_wvalid_o,
  input  logic                 m_axi_wready_i,
  output logic [BusBits-1:0]   m_axi_wdata_o,
  output logic [BusBits/8-1:0] m_axi_wstrb_o,
  output logic                 m_axi_wlast_o,
  input  logic                 m_axi_bvalid_i,
  output logic                 m_axi_bready_o,
  input  logic [1:0]           m_axi_bresp_i,
  input  logic [3:0]           m_axi_bid_i
);

  localparam int unsigned WbufRows    = WbufBytes / (4 * Rows * Cols);
  localparam int unsigned ObufEntries = ObufBytes / (4 * Cols);
  localparam int unsigned LenWidth    = $clog2(4 * Cols + 1);
  localparam int unsigned SumStages   = 2 + ($clog2(Rows) + 1) / 2;
  localparam int unsigned AccStage    = SumStages + 1;              // cycles from issue to the accumulators
  localparam int unsigned PostStages  = 8;                          // from there to the store unit, of them 1..6 in the lanes
  localparam int unsigned WbufBeats   = (32 * Rows * Cols + BusBits - 1) / BusBits * WbufRows;
  localparam int unsigned PbufBeats   = 3 * ((32 * Cols + BusBits - 1) / BusBits) * ParamDepth;

  // Issue
  back_run_t           run;
  logic                row_read, post_valid, item_valid, item_done, issue_busy, issue_error;
  logic [15:0]         row;
  unit_ctl_t           unit;
  acc_ctl_t            acc;
  post_ctl_t           post;
  logic [31:0]         item_addr;
  logic [LenWidth-1:0] item_len;

  assign run = '{
    mode:       run_i.mode,
    inner:      run_i.mode.vector ? run_i.j : run_i.nch,
    outer:      run_i.mode.vector ? run_i.k : 16'd1,
    noct:       run_i.noct,
    px:         run_i.px,
    py:         run_i.py,
    ox:         run_i.ox,
    oy:         run_i.oy,
    b:          run_i.b,
    wbase:      run_i.wbase,
    wstep:      run_i.wstep,
    pbase:      run_i.pbase,
    abase:      run_i.abase,
    olast:      run_i.olast,
    ostep_x:    run_i.ostep_x,
    ostep_y:    run_i.ostep_y,
    ostep_b:    run_i.ostep_b,
    ostep_o:    run_i.ostep_o,
    obase:      run_i.obase,
    po:         run_i.po,
    sem_weight: run_i.sem_weight
  };

  bf_issue #(.Cols(Cols), .WbufRows(WbufRows), .ObufEntries(ObufEntries), .ParamDepth(ParamDepth)) u_issue (
    .clk_i, .rst_ni, .stop_i,
    .run_valid_i, .run_ready_o,
    .run_i         (run),
    .chunk_valid_i, .chunk_ready_o,
    .token_o,
    .row_read_o    (row_read),
    .row_o         (row),
    .unit_o        (unit),
    .acc_o         (acc),
    .post_valid_o  (post_valid),
    .post_o        (post),
    .item_valid_o  (item_valid),
    .item_addr_o   (item_addr),
    .item_len_o    (item_len),
    .item_done_i   (item_done),
    .busy_o        (issue_busy),
    .wait_patch_o, .wait_store_o,
    .error_o       (issue_error)
  );

  // What travels with a token; index: cycles since its issue
  unit_ctl_t                          unit_1_q;
  acc_ctl_t                           acc_q [1:AccStage];
  post_ctl_t                          post_q [1:AccStage+PostStages-1];
  logic [AccStage:1]                  token_q;
  logic [AccStage+PostStages-1:1]     post_valid_q;
  logic                               data_valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      token_q      <= '0;
      post_valid_q <= '0;
      data_valid_q <= 1'b0;
    end else if (stop_i) begin
      token_q      <= '0;
      post_valid_q <= '0;
      data_valid_q <= 1'b0;
    end else begin
      token_q      <= {token_q[AccStage-1:1], token_o};
      post_valid_q <= {post_valid_q[AccStage+PostStages-2:1], post_valid};
      // A multiply-add has a result with its last product only, a pooling window with its last result.
      if (post_q[AccStage+3].mac && !post_q[AccStage+3].mac_last) post_valid_q[AccStage+4] <= 1'b0;
      if (!post_q[AccStage+6].pool_last) post_valid_q[AccStage+7] <= 1'b0;
      data_valid_q <= post_valid_q[AccStage+7];
    end
  end
  always_ff @(posedge clk_i) begin
    unit_1_q  <= unit;
    acc_q[1]  <= acc;
    post_q[1] <= post;
    for (int unsigned s = 2; s <= AccStage; s++) acc_q[s] <= acc_q[s-1];
    for (int unsigned s = 2; s <= AccStage + PostStages - 1; s++) post_q[s] <= post_q[s-1];
  end

  assign sem_weight_valid_o = token_q[AccStage] & acc_q[AccStage].run_last & (acc_q[AccStage].sem_weight != NoSemaphore) & ~stop_i;
  assign sem_weight_o       = acc_q[AccStage].sem_weight;
  assign runs_idle_o        = ~issue_busy & (token_q == '0) & (post_valid_q == '0) & ~data_valid_q;

  // The partial sum of a token is the result before it where both have one entry; OBUF does not have that yet.
  logic obuf_write, bypass_q;
  assign obuf_write = token_q[AccStage] & acc_q[AccStage].last & ~acc_q[AccStage].emit;
  always_ff @(posedge clk_i) bypass_q <= obuf_write & (acc_q[AccStage].entry == acc_q[AccStage-1].entry);

  logic [32*Cols-1:0] packed_data;
  if (Build == BuildTiming) begin : gen_no_datapath
    assign packed_data = '0;
    logic unused;
    assign unused = ^{chunk_data_i, chunk_mask_i, buf_data_i, row, row_read, unit_1_q, bypass_q, acc_q[AccStage]};
  end else begin : gen_datapath
    logic [32*Rows-1:0]      chunk_q;
    logic [4*Rows-1:0]       mask_q;
    logic [32*Rows*Cols-1:0] weights;
    logic [32*Cols-1:0]      sum, partial, result, bias, multiplier, shift, code;

    always_ff @(posedge clk_i) begin
      if (token_o) begin
        chunk_q <= chunk_data_i;
        mask_q  <= chunk_mask_i;
      end
    end

    bf_wbuf #(.RowBits(32 * Rows * Cols), .Rows(WbufRows), .BusBits(BusBits)) u_wbuf (
      .clk_i,
      .we_i   (buf_we_i & (buf_sel_i == BufWeight)),
      .addr_i (buf_addr_i),
      .data_i (buf_data_i),
      .re_i   (row_read),
      .row_i  (row[$clog2(WbufRows)-1:0]),
      .data_o (weights)
    );

    if (Build == BuildFunctional) begin : gen_functional
      bf_columns_functional #(.Rows(Rows), .Cols(Cols)) u_columns (
        .clk_i,
        .valid_i   (token_q[SumStages:1]),
        .ctl_i     (unit_1_q),
        .chunk_i   (chunk_q),
        .mask_i    (mask_q),
        .weights_i (weights),
        .sum_o     (sum)
      );
    end else begin : gen_structural
      bf_columns #(.Rows(Rows), .Cols(Cols)) u_columns (
        .clk_i,
        .valid_i   (token_q[SumStages:1]),
        .ctl_i     (unit_1_q),
        .chunk_i   (chunk_q),
        .mask_i    (mask_q),
        .weights_i (weights),
        .sum_o     (sum)
      );
    end

    bf_obuf #(.Cols(Cols), .Entries(ObufEntries)) u_obuf (
      .clk_i,
      .we_i          (obuf_write),
      .write_entry_i (acc_q[AccStage].entry[$clog2(ObufEntries)-1:0]),
      .data_i        (result),
      .re_i          (token_q[AccStage-1] & acc_q[AccStage-1].first & ~acc_q[AccStage-1].init),
      .read_entry_i  (acc_q[AccStage-1].entry[$clog2(ObufEntries)-1:0]),
      .data_o        (partial)
    );

    bf_pbuf #(.Cols(Cols), .Depth(ParamDepth), .BusBits(BusBits)) u_pbuf (
      .clk_i,
      .we_i         (buf_we_i & (buf_sel_i == BufParam)),
      .addr_i       (buf_addr_i),
      .data_i       (buf_data_i),
      .re_i         (post_valid_q[AccStage]),
      .entry_i      (post_q[AccStage].param[$clog2(ParamDepth)-1:0]),
      .bias_o       (bias),
      .multiplier_o (multiplier),
      .shift_o      (shift)
    );

    for (genvar m = 0; m < Cols; m++) begin : gen_lane
      bf_lane u_lane (
        .clk_i,
        .acc_valid_i  (token_q[AccStage]),
        .acc_i        (acc_q[AccStage]),
        .bypass_i     (bypass_q),
        .sum_i        (sum[32*m +: 32]),
        .partial_i    (partial[32*m +: 32]),
        .acc_o        (result[32*m +: 32]),
        .valid_i      (post_valid_q[AccStage+6:AccStage+1]),
        .bias_ctl_i   (post_q[AccStage+1]),
        .bias_i       (bias[32*m +: 32]),
        .multiplier_i (multiplier[32*m +: 31]),
        .shift_i      (shift[32*m +: 6]),
        .total_ctl_i  (post_q[AccStage+3]),
        .round_ctl_i  (post_q[AccStage+5]),
        .pool_ctl_i   (post_q[AccStage+6]),
        .code_o       (code[32*m +: 32])
      );
    end
    logic unused;
    assign unused = ^{multiplier, shift};

    bf_pack #(.Cols(Cols)) u_pack (
      .clk_i,
      .valid_i (post_valid_q[AccStage+7]),
      .ctl_i   (post_q[AccStage+7]),
      .code_i  (code),
      .data_o  (packed_data)
    );
  end

  // Stores
  logic   store_error_valid;
  error_e store_error;
  bf_store #(.Cols(Cols), .BusBits(BusBits), .Build(Build)) u_store (
    .clk_i, .rst_ni, .stop_i,
    .flush_i         (runs_idle_o),
    .mem_base_i, .mem_bytes_i,
    .item_valid_i    (item_valid),
    .item_addr_i     (item_addr),
    .item_len_i      (item_len),
    .data_valid_i    (data_valid_q),
    .data_i          (packed_data),
    .item_done_o     (item_done),
    .idle_o          (stores_idle_o),
    .error_valid_o   (store_error_valid),
    .error_o         (store_error),
    .m_axi_awvalid_o, .m_axi_awready_i, .m_axi_awaddr_o,
    .m_axi_wvalid_o, .m_axi_wready_i, .m_axi_wdata_o, .m_axi_wstrb_o,
    .m_axi_bvalid_i, .m_axi_bresp_i
  );
  assign m_axi_awlen_o   = '0;                            // a beat a write: neighbours have been combined
  assign m_axi_awsize_o  = 3'($clog2(BusBits / 8));
  assign m_axi_awburst_o = 2'b01;
  assign m_axi_awid_o    = '0;                            // one ID: writes of one address stay in order
  assign m_axi_wlast_o   = 1'b1;
  assign m_axi_bready_o  = 1'b1;

  // Errors
  logic load_beyond;
  assign load_beyond   = buf_we_i & (((buf_sel_i == BufWeight) & (buf_addr_i >= WbufBeats))
                                     | ((buf_sel_i == BufParam) & (buf_addr_i >= PbufBeats)));
  assign error_valid_o = issue_error | load_beyond | store_error_valid;
  assign error_o       = issue_error | load_beyond ? ErrBuffer : store_error;

  logic unused;
  assign unused = ^{m_axi_bid_i, run_i, row};

endmodule
