// The streaming engine: lane buffers filled by GATHER, weights streamed past them by RUN, maxima by POOL, sums by MAP. README.md is the contract.
module stream_engine
  import stream_pkg::*;
#(
  parameter int unsigned Lanes     = 4,             // 1, 2 or 4
  parameter int unsigned BufWords  = 2048,          // 32-bit words of a lane buffer, a power of two, at most 32768
  parameter int unsigned FifoDepth = 8,             // reads in flight and waiting, a power of two
  parameter logic [31:0] RamBase   = 32'h4000_0000, // the only addresses that it touches
  parameter int unsigned RamBytes  = 4 << 20,
  parameter bit          GateClock = 1'b0           // 1: the clocks of GATHER and of POOL rest when they do
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        cmd_valid_i,
  output logic        cmd_ready_o,
  input  logic [9:0]  cmd_function_id_i,
  input  logic [31:0] cmd_inputs_0_i,
  input  logic [31:0] cmd_inputs_1_i,
  output logic        rsp_valid_o,
  input  logic        rsp_ready_i,
  output logic [31:0] rsp_outputs_0_o,

  output logic        mem_req_o,
  output logic        mem_we_o,
  output logic [3:0]  mem_be_o,
  output logic [31:0] mem_addr_o,
  output logic [31:0] mem_wdata_o,
  input  logic        mem_gnt_i,
  input  logic        mem_rvalid_i,
  input  logic [31:0] mem_rdata_i,

  output logic        busy_o,
  output logic        stall_o                       // waits for the memory in this cycle
);

  localparam int unsigned RowW = $clog2(BufWords) - 2;

  // Settings
  config_t     config_set;
  logic [16:0] k, len;
  logic [2:0]  lanes_on;
  logic [31:0] src_base, row_stride, col_stride, lane_step, y, dst_base, dst_stride;
  logic [15:0] rows, cols, n;
  logic [30:0] width, height;

  logic [30:0] m [4];
  logic [5:0]  shift;

  logic        gather_start, gather_single, run_start, run_map, pool_start, pool_keep, peek;
  logic [2:0]  gather_lane;
  logic [31:0] peek_data [Lanes];
  logic [1:0]  peek_bank_q;
  error_e      gather_error, run_error, error;

  // Memory port
  logic        rd_valid, rd_ready, rd_bad, data_valid, data_pop;
  logic [29:0] rd_addr;
  logic [31:0] data;
  logic        wr_valid, wr_ready, wr_bad, wr_partial, port_idle;
  logic [29:0] wr_addr;
  logic [31:0] wr_data, wr_mask;

  logic                        gather_busy, gather_rd_valid, gather_pop, gather_we, buf_we;
  logic [29:0]                 gather_rd_addr;
  logic [2:0]                  gather_buf_lane, buf_lane;
  logic [$clog2(BufWords)-1:0] gather_word, pool_word, buf_word;
  logic [31:0]                 gather_data, pool_data, buf_data;

  logic                        pool_busy, pool_wait_q, pool_fail, pool_read, pool_we, pool_wr_valid, pool_wr_partial;
  logic [RowW-1:0]             pool_row;
  logic [1:0]                  pool_bank;
  logic [29:0]                 pool_wr_addr, pack_wr_addr;
  logic [31:0]                 pool_wr_data, pool_wr_mask, pack_wr_data, pack_wr_mask;
  logic                        pack_wr_valid, pack_wr_partial;

  logic            run_busy_q, run_active, run_rd_valid, run_pop, starving, abort_q, run_fail;
  logic [29:0]     run_rd_addr;
  logic            map;                             // the RUN is a MAP
  width_e          w;
  logic            read, select, dot, acc, first, place, last_sent, result, result_last;
  logic [RowW-1:0] row;
  logic [4:0]      part;
  logic [31:0]     weights, mask, bias;
  header_t         result_header;
  error_e          sequencer_error;

  stream_regs #(
    .Lanes    (Lanes),
    .BufWords (BufWords)
  ) u_regs (
    .clk_i,
    .rst_ni,
    .cmd_valid_i,
    .cmd_ready_o,
    .cmd_function_id_i,
    .cmd_inputs_0_i,
    .cmd_inputs_1_i,
    .rsp_valid_o,
    .rsp_ready_i,
    .rsp_outputs_0_o,
    .busy_i          (busy_o),
    .stall_i         (stall_o),
    .error_i         (error),
    .gather_start_o  (gather_start),
    .gather_single_o (gather_single),
    .gather_lane_o   (gather_lane),
    .run_start_o     (run_start),
    .map_o           (run_map),
    .pool_start_o    (pool_start),
    .pool_keep_o     (pool_keep),
    .peek_o          (peek),
    .peek_data_i     (peek_data),
    .config_o        (config_set),
    .k_o             (k),
    .lanes_on_o      (lanes_on),
    .src_base_o      (src_base),
    .rows_o          (rows),
    .cols_o          (cols),
    .len_o           (len),
    .row_stride_o    (row_stride),
    .col_stride_o    (col_stride),
    .lane_step_o     (lane_step),
    .y_o             (y),
    .width_o         (width),
    .height_o        (height),
    .dst_base_o      (dst_base),
    .dst_stride_o    (dst_stride),
    .n_o             (n),
    .m_o             (m),
    .shift_o         (shift)
  );

  assign rd_valid = gather_rd_valid | run_rd_valid;
  assign rd_addr  = run_busy_q ? run_rd_addr : gather_rd_addr;
  assign data_pop = run_busy_q ? (abort_q ? data_valid : run_pop) : gather_pop;

  stream_port #(
    .RamBase   (RamBase),
    .RamBytes  (RamBytes),
    .FifoDepth (FifoDepth)
  ) u_port (
    .clk_i,
    .rst_ni,
    .rd_valid_i   (rd_valid),
    .rd_ready_o   (rd_ready),
    .rd_bad_o     (rd_bad),
    .rd_addr_i    (rd_addr),
    .data_valid_o (data_valid),
    .data_o       (data),
    .data_pop_i   (data_pop),
    .wr_valid_i   (wr_valid),
    .wr_ready_o   (wr_ready),
    .wr_bad_o     (wr_bad),
    .wr_addr_i    (wr_addr),
    .wr_data_i    (wr_data),
    .wr_mask_i    (wr_mask),
    .wr_partial_i (wr_partial),
    .idle_o       (port_idle),
    .mem_req_o,
    .mem_we_o,
    .mem_be_o,
    .mem_addr_o,
    .mem_wdata_o,
    .mem_gnt_i,
    .mem_rvalid_i,
    .mem_rdata_i
  );

  // At rest nothing in them changes that is used before the edge that starts them.
  logic gather_clk, pool_clk;
  clock_gate #(.Gate(GateClock)) u_gather_gate (
    .clk_i,
    .en_i  (gather_start | gather_busy),
    .clk_o (gather_clk)
  );
  clock_gate #(.Gate(GateClock)) u_pool_gate (
    .clk_i,
    .en_i  (pool_start | pool_busy),
    .clk_o (pool_clk)
  );

  stream_gather #(
    .BufWords (BufWords)
  ) u_gather (
    .clk_i        (gather_clk),
    .rst_ni,
    .start_i      (gather_start),
    .single_i     (gather_single),
    .lane_i       (gather_lane),
    .offset_i     (cmd_inputs_0_i),
    .x_i          (cmd_inputs_1_i),
    .busy_o       (gather_busy),
    .error_o      (gather_error),
    .expand_i     (config_set.expand),
    .padding_i    (min_pattern(config_set.a, config_set.a_unsigned | config_set.expand | ~config_set.pad_min)),
    .lanes_on_i   (lanes_on),
    .src_base_i   (src_base),
    .rows_i       (rows),
    .cols_i       (cols),
    .len_i        (len),
    .row_stride_i (row_stride),
    .col_stride_i (col_stride),
    .lane_step_i  (lane_step),
    .y_i          (y),
    .width_i      (width),
    .height_i     (height),
    .rd_valid_o   (gather_rd_valid),
    .rd_ready_i   (rd_ready),
    .rd_bad_i     (rd_bad),
    .rd_addr_o    (gather_rd_addr),
    .data_valid_i (data_valid),
    .data_i       (data),
    .data_pop_o   (gather_pop),
    .port_idle_i  (port_idle),
    .buf_we_o     (gather_we),
    .buf_lane_o   (gather_buf_lane),
    .buf_word_o   (gather_word),
    .buf_data_o   (gather_data)
  );

  stream_run #(
    .BufWords (BufWords)
  ) u_run (
    .clk_i,
    .rst_ni,
    .start_i         (run_start),
    .map_i           (run_map),
    .elements_i      (cmd_inputs_0_i[16:0]),
    .addr_i          (cmd_inputs_0_i[31:2]),
    .abort_i         (abort_q),
    .active_o        (run_active),
    .error_o         (sequencer_error),
    .starving_o      (starving),
    .map_o           (map),
    .w_o             (w),
    .out_i           (config_set.out),
    .has_bias_i      (config_set.bias),
    .w_i             (config_set.w),
    .a_i             (config_set.a),
    .k_i             (k),
    .n_i             (n),
    .rd_valid_o      (run_rd_valid),
    .rd_ready_i      (rd_ready),
    .rd_bad_i        (rd_bad),
    .rd_addr_o       (run_rd_addr),
    .data_valid_i    (data_valid),
    .data_i          (data),
    .data_pop_o      (run_pop),
    .read_o          (read),
    .row_sent_o      (last_sent),
    .row_o           (row),
    .select_o        (select),
    .dot_o           (dot),
    .acc_o           (acc),
    .part_o          (part),
    .weights_o       (weights),
    .mask_o          (mask),
    .first_o         (first),
    .bias_o          (bias),
    .place_i         (place),
    .result_o        (result),
    .result_last_o   (result_last),
    .result_header_o (result_header)
  );

  // Lanes
  logic [31:0] sum [Lanes];
  always_ff @(posedge clk_i) if (peek) peek_bank_q <= cmd_inputs_0_i[1:0];

  logic [1:0]      bank;                            // of the word that PEEK or POOL takes
  logic [RowW-1:0] read_row;
  assign bank     = pool_busy ? pool_bank : peek_bank_q;
  assign read_row = pool_busy ? pool_row : peek ? cmd_inputs_0_i[2+:RowW] : row;
  assign buf_we   = gather_we | pool_we;
  assign buf_lane = pool_busy ? 3'd0 : gather_buf_lane;
  assign buf_word = pool_busy ? pool_word : gather_word;
  assign buf_data = pool_busy ? pool_data : gather_data;

  for (genvar i = 0; i < int'(Lanes); i++) begin : gen_lane
    logic         on;
    logic [127:0] buf_row;
    assign on = 3'(i) < lanes_on;

    stream_lane #(
      .BufWords (BufWords)
    ) u_lane (
      .clk_i,
      .we_i         (buf_we & (buf_lane == 3'(i))),
      .waddr_i      (buf_word),
      .wdata_i      (buf_data),
      .re_i         (((read | pool_read) & on) | peek),
      .raddr_i      (read_row),
      .row_o        (buf_row),
      .a_width_i    (config_set.a),
      .a_unsigned_i (config_set.a_unsigned ^ (map & config_set.mix & (i != 0))),
      .w_width_i    (w),
      .select_i     (select & on),
      .part_i       (part),
      .dot_i        (dot & on),
      .weights_i    (weights),
      .mask_i       (mask),
      .acc_i        (acc & on),
      .first_i      (first),
      .bias_i       (bias),
      .sum_o        (sum[i])
    );

    assign peek_data[i] = buf_row[{bank, 5'b0}+:32];
  end

  // Results of up to two rows wait here, the lanes' one after the other leave for the requantiser.
  logic [31:0] acc_q [2][Lanes];
  header_t     acc_header_q [2];
  logic [1:0]  acc_last_q;
  logic [1:0]  rows_out_q;                          // rows whose last step has been sent and whose results are still here
  logic [1:0]  held_q;                              // of these, rows in acc_q
  logic        in_q, out_q, row_done, advance;
  logic [2:0]  lane_q;
  logic        pack_ready, code_valid, code_taken, code_last, requant_busy, wide;
  logic [31:0] code, acc_out;
  logic [2:0]  code_lane;

  assign place     = (rows_out_q != 2'd2) & pack_ready;
  assign row_done  = (held_q != '0) & advance & (lane_q == lanes_on - 3'd1);
  assign advance   = ~code_valid | code_taken;

  always_ff @(posedge clk_i) begin
    if (result) begin
      for (int unsigned i = 0; i < Lanes; i++) acc_q[in_q][i] <= sum[i];
      acc_header_q[in_q] <= result_header;
      acc_last_q[in_q]   <= result_last;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rows_out_q <= '0;
      held_q     <= '0;
      in_q       <= 1'b0;
      out_q      <= 1'b0;
      lane_q     <= '0;
    end else if (run_start || abort_q) begin
      rows_out_q <= '0;
      held_q     <= '0;
      in_q       <= 1'b0;
      out_q      <= 1'b0;
      lane_q     <= '0;
    end else begin
      rows_out_q <= rows_out_q + 2'(last_sent) - 2'(row_done);
      held_q     <= held_q + 2'(result) - 2'(row_done);
      if (result)   in_q  <= ~in_q;
      if (row_done) out_q <= ~out_q;
      if (held_q != '0 && advance) lane_q <= row_done ? '0 : lane_q + 3'd1;
    end
  end

  always_comb begin
    acc_out = '0;
    for (int unsigned i = 0; i < Lanes; i++) begin
      if (lane_q == 3'(i)) acc_out = acc_q[out_q][i];
    end
  end

  logic [34:0] origin;                              // bit address of the first result
  assign origin = {dst_base, 3'b000} + 35'($signed(cmd_inputs_1_i));
  assign wide   = config_set.out != OutPack;

  stream_requant u_requant (
    .clk_i,
    .rst_ni,
    .flush_i      (abort_q),
    .advance_i    (advance),
    .o_i          (config_set.o),
    .o_unsigned_i (config_set.o_unsigned),
    .wide_i       (wide),
    .valid_i      (held_q != '0),
    .acc_i        (acc_out),
    .add_i        (map & (lane_q != 3'd0)),
    .more_i       (map & (lane_q != lanes_on - 3'd1)),
    .multiplier_i (map ? {1'b0, m[lane_q[1:0]]} : acc_header_q[out_q].multiplier),
    .shift_i      (map ? shift : acc_header_q[out_q].shift),
    .lane_i       (map ? 3'd0 : lane_q),
    .last_i       (acc_last_q[out_q]),
    .valid_o      (code_valid),
    .code_o       (code),
    .lane_o       (code_lane),
    .last_o       (code_last),
    .busy_o       (requant_busy)
  );

  stream_pack #(
    .Lanes (Lanes)
  ) u_pack (
    .clk_i,
    .rst_ni,
    .start_i      (run_start),
    .origin_i     (origin),
    .stride_i     (dst_stride),
    .ready_o      (pack_ready),
    .o_i          (config_set.o),
    .wide_i       (wide),
    .tail_zero_i  (config_set.tail_zero & (map | (code_lane == lanes_on - 3'd1))),
    .valid_i      (code_valid & ~abort_q),
    .code_i       (code),
    .lane_i       (code_lane),
    .last_i       (code_last),
    .taken_o      (code_taken),
    .wr_valid_o   (pack_wr_valid),
    .wr_ready_i   (wr_ready & ~pool_busy),
    .wr_addr_o    (pack_wr_addr),
    .wr_data_o    (pack_wr_data),
    .wr_mask_o    (pack_wr_mask),
    .wr_partial_o (pack_wr_partial)
  );

  stream_pool #(
    .Lanes    (Lanes),
    .BufWords (BufWords)
  ) u_pool (
    .clk_i        (pool_clk),
    .rst_ni,
    .start_i      (pool_start),
    .keep_i       (pool_keep),
    .elements_i   (cmd_inputs_0_i[16:0]),
    .origin_i     (origin),
    .abort_i      (pool_fail),
    .busy_o       (pool_busy),
    .a_i          (config_set.a),
    .a_unsigned_i (config_set.a_unsigned),
    .tail_zero_i  (config_set.tail_zero),
    .lanes_on_i   (lanes_on),
    .read_o       (pool_read),
    .row_o        (pool_row),
    .bank_o       (pool_bank),
    .words_i      (peek_data),
    .buf_we_o     (pool_we),
    .buf_word_o   (pool_word),
    .buf_data_o   (pool_data),
    .wr_valid_o   (pool_wr_valid),
    .wr_ready_i   (wr_ready),
    .wr_addr_o    (pool_wr_addr),
    .wr_data_o    (pool_wr_data),
    .wr_mask_o    (pool_wr_mask),
    .wr_partial_o (pool_wr_partial)
  );

  assign wr_valid   = pool_busy ? pool_wr_valid : pack_wr_valid;
  assign wr_addr    = pool_busy ? pool_wr_addr : pack_wr_addr;
  assign wr_data    = pool_busy ? pool_wr_data : pack_wr_data;
  assign wr_mask    = pool_busy ? pool_wr_mask : pack_wr_mask;
  assign wr_partial = pool_busy ? pool_wr_partial : pack_wr_partial;

  // An error stops a RUN: answers in flight come in and are dropped, then it is idle.
  always_comb begin
    run_error = ErrNone;
    if (run_busy_q && !abort_q) begin
      run_error = sequencer_error;
      if (run_error == ErrNone && wr_bad) run_error = ErrDestination;
    end
  end
  assign run_fail  = run_error != ErrNone;
  assign pool_fail = pool_wait_q & wr_bad;
  always_comb begin
    error = gather_error;
    if (run_fail)  error = run_error;
    if (pool_fail) error = ErrDestination;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      run_busy_q  <= 1'b0;
      abort_q     <= 1'b0;
      pool_wait_q <= 1'b0;
    end else begin
      pool_wait_q <= pool_start | pool_busy | (pool_wait_q & ~port_idle);
      if (run_start) run_busy_q <= 1'b1;
      else if (!run_active && rows_out_q == '0 && !requant_busy && port_idle && !run_fail) run_busy_q <= 1'b0;
      if (run_fail) abort_q <= 1'b1;
      else if (!run_busy_q) abort_q <= 1'b0;
    end
  end

  assign busy_o  = gather_busy | run_busy_q | pool_wait_q;
  assign stall_o = busy_o & ((mem_req_o & ~mem_gnt_i) | (run_busy_q & starving));

endmodule
