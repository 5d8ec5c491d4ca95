// Control unit: registers, fetch, decode, the two engines with their queues, semaphores, counters. README.md of rtl/bitfusion has all of it.
module bf_control
  import bf_control_pkg::*;
#(
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
  input  logic               clk_i,
  input  logic               rst_ni,

  // Registers
  input  logic               s_axil_awvalid_i,
  output logic               s_axil_awready_o,
  input  logic [15:0]        s_axil_awaddr_i,
  input  logic               s_axil_wvalid_i,
  output logic               s_axil_wready_o,
  input  logic [31:0]        s_axil_wdata_i,
  input  logic [3:0]         s_axil_wstrb_i,
  output logic               s_axil_bvalid_o,
  input  logic               s_axil_bready_i,
  output logic [1:0]         s_axil_bresp_o,
  input  logic               s_axil_arvalid_i,
  output logic               s_axil_arready_o,
  input  logic [15:0]        s_axil_araddr_i,
  output logic               s_axil_rvalid_o,
  input  logic               s_axil_rready_i,
  output logic [31:0]        s_axil_rdata_o,
  output logic [1:0]         s_axil_rresp_o,
  output logic               busy_o,              // a program runs: falls when STATUS has its end

  // Reads of instructions and data
  output logic               m_axi_arvalid_o,
  input  logic               m_axi_arready_i,
  output logic [3:0]         m_axi_arid_o,
  output logic [31:0]        m_axi_araddr_o,
  output logic [7:0]         m_axi_arlen_o,
  output logic [2:0]         m_axi_arsize_o,
  output logic [1:0]         m_axi_arburst_o,
  input  logic               m_axi_rvalid_i,
  output logic               m_axi_rready_o,
  input  logic [3:0]         m_axi_rid_i,
  input  logic [BusBits-1:0] m_axi_rdata_i,
  input  logic [1:0]         m_axi_rresp_i,

  // Datapath
  output logic               run_valid_o,
  input  logic               run_ready_i,
  output bf_pkg::run_t       run_o,
  input  logic               sem_input_valid_i,
  input  logic [3:0]         sem_input_i,
  input  logic               sem_weight_valid_i,
  input  logic [3:0]         sem_weight_i,
  input  logic               runs_idle_i,
  input  logic               stores_idle_i,
  input  logic               error_valid_i,
  input  bf_pkg::error_e     error_i,
  output logic               stop_o,
  output logic [31:0]        mem_base_o,
  output logic [31:0]        mem_bytes_o,
  output logic               buf_we_o,
  output bf_pkg::buffer_e    buf_sel_o,
  output logic [31:0]        buf_addr_o,
  output logic [BusBits-1:0] buf_data_o,
  input  logic               token_i,
  input  logic               wait_patch_i,
  input  logic               wait_store_i,
  input  logic               gather_busy_i,
  input  logic               beat_written_i
);

  localparam int unsigned BeatBytes = BusBits / 8;
  localparam int unsigned RowBytes  = 4 * Rows * Cols;
  localparam int unsigned WbufBeats = (WbufBytes / RowBytes) * ((RowBytes + BeatBytes - 1) / BeatBytes);
  localparam int unsigned PbufBeats = ParamDepth * 3 * ((4 * Cols + BeatBytes - 1) / BeatBytes);
  localparam int unsigned QueueDepth = 16;

  logic           start, abort, launch, clear, enable, stop, flush, done, error;
  logic [31:0]    program_offset, instructions, cycle_limit, cycles, status, blocked;
  bf_pkg::error_e code;
  logic [15:0]    status_index;

  logic           fetch_ar_valid, fetch_ar_ready, fetch_beat, fetch_valid, fetch_pop, exhausted, fetch_idle;
  logic [31:0]    fetch_ar_addr, load_ar_addr;
  logic [7:0]     fetch_ar_len, load_ar_len;
  issued_t        fetched, load_head, exec_head;

  logic           load_push, load_full, load_valid, load_pop, load_wait, load_grant, load_ar_valid, load_ar_ready;
  logic           load_beat, load_beat_ready, load_cut_idle, load_drained, write_idle, transfer_push, transfer_full;
  logic           exec_push, exec_full, exec_valid, exec_pop, exec_wait, exec_grant, issue_idle, fence, at_end;
  logic           stuck, ended, mark, marks_full, end_of_program, beat, bus_error, bus_fetch, load_idle;
  transfer_t      transfer;
  signal_t        signal_load, signal_exec, signal_input, signal_weight;
  fault_t         decode_fault, load_fault, issue_fault, semaphore_fault, exec_fault, bus_fault;
  logic [15:0]    write_index, run_index;
  logic [4:0]     counter_index;
  logic [31:0]    counter;
  logic [8:0]     marks;
  logic           mark_read;
  logic [7:0]     mark_index;
  logic [127:0]   mark_value;

  bf_regs #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth), .Build(Build)
  ) u_regs (
    .clk_i, .rst_ni,
    .s_axil_awvalid_i, .s_axil_awready_o, .s_axil_awaddr_i,
    .s_axil_wvalid_i, .s_axil_wready_o, .s_axil_wdata_i, .s_axil_wstrb_i,
    .s_axil_bvalid_o, .s_axil_bready_i, .s_axil_bresp_o,
    .s_axil_arvalid_i, .s_axil_arready_o, .s_axil_araddr_i,
    .s_axil_rvalid_o, .s_axil_rready_i, .s_axil_rdata_o, .s_axil_rresp_o,
    .start_o       (start),
    .abort_o       (abort),
    .mem_base_o,
    .mem_bytes_o,
    .program_o     (program_offset),
    .instructions_o(instructions),
    .cycle_limit_o (cycle_limit),
    .status_i      (status),
    .blocked_i     (blocked),
    .counter_o     (counter_index),
    .counter_i     (counter),
    .marks_i       (marks),
    .mark_read_o   (mark_read),
    .mark_index_o  (mark_index),
    .mark_i        (mark_value)
  );

  bf_read_port #(.BusBits(BusBits)) u_read_port (
    .clk_i, .rst_ni,
    .fetch_valid_i    (fetch_ar_valid),
    .fetch_ready_o    (fetch_ar_ready),
    .fetch_addr_i     (fetch_ar_addr),
    .fetch_len_i      (fetch_ar_len),
    .fetch_beat_o     (fetch_beat),
    .load_valid_i     (load_ar_valid),
    .load_ready_o     (load_ar_ready),
    .load_addr_i      (load_ar_addr),
    .load_len_i       (load_ar_len),
    .load_beat_o      (load_beat),
    .load_beat_ready_i(load_beat_ready),
    .beat_o           (beat),
    .bus_error_o      (bus_error),
    .bus_fetch_o      (bus_fetch),
    .m_axi_arvalid_o, .m_axi_arready_i, .m_axi_arid_o, .m_axi_araddr_o, .m_axi_arlen_o, .m_axi_arsize_o, .m_axi_arburst_o,
    .m_axi_rvalid_i, .m_axi_rready_o, .m_axi_rid_i, .m_axi_rresp_i
  );

  bf_fetch #(.BusBits(BusBits)) u_fetch (
    .clk_i, .rst_ni,
    .start_i     (launch),
    .address_i   (mem_base_o + program_offset),
    .count_i     (instructions),
    .enable_i    (enable),
    .flush_i     (flush),
    .ar_valid_o  (fetch_ar_valid),
    .ar_ready_i  (fetch_ar_ready),
    .ar_addr_o   (fetch_ar_addr),
    .ar_len_o    (fetch_ar_len),
    .beat_valid_i(fetch_beat),
    .beat_data_i (m_axi_rdata_i),
    .valid_o     (fetch_valid),
    .issued_o    (fetched),
    .pop_i       (fetch_pop),
    .exhausted_o (exhausted),
    .idle_o      (fetch_idle)
  );

  bf_decode u_decode (
    .clk_i, .rst_ni,
    .enable_i   (enable),
    .flush_i    (flush),
    .valid_i    (fetch_valid),
    .issued_i   (fetched),
    .pop_o      (fetch_pop),
    .load_push_o(load_push),
    .load_full_i(load_full),
    .exec_push_o(exec_push),
    .exec_full_i(exec_full),
    .stuck_o    (stuck),
    .ended_o    (ended),
    .fault_o    (decode_fault)
  );

  fifo #(.Width($bits(issued_t)), .Depth(QueueDepth)) u_load_queue (
    .clk_i, .rst_ni,
    .push_i (load_push),
    .data_i (fetched),
    .full_o (load_full),
    .pop_i  (load_pop | flush),
    .valid_o(load_valid),
    .data_o (load_head)
  );

  fifo #(.Width($bits(issued_t)), .Depth(QueueDepth)) u_exec_queue (
    .clk_i, .rst_ni,
    .push_i (exec_push),
    .data_i (fetched),
    .full_o (exec_full),
    .pop_i  (exec_pop | flush),
    .valid_o(exec_valid),
    .data_o (exec_head)
  );

  bf_load_engine #(
    .BusBits  (BusBits),
    .WbufBeats(WbufBeats),
    .PbufBeats(PbufBeats)
  ) u_load (
    .clk_i, .rst_ni,
    .enable_i       (enable),
    .flush_i        (flush),
    .mem_base_i     (mem_base_o),
    .mem_bytes_i    (mem_bytes_o),
    .valid_i        (load_valid),
    .issued_i       (load_head),
    .pop_o          (load_pop),
    .wait_o         (load_wait),
    .wait_grant_i   (load_grant),
    .transfer_push_o(transfer_push),
    .transfer_o     (transfer),
    .transfer_full_i(transfer_full),
    .ar_valid_o     (load_ar_valid),
    .ar_ready_i     (load_ar_ready),
    .ar_addr_o      (load_ar_addr),
    .ar_len_o       (load_ar_len),
    .beat_valid_i   (load_beat & load_beat_ready),
    .idle_o         (load_cut_idle),
    .drained_o      (load_drained),
    .fault_o        (load_fault)
  );

  bf_load_write u_load_write (
    .clk_i, .rst_ni,
    .flush_i     (flush),
    .push_i      (transfer_push),
    .transfer_i  (transfer),
    .full_o      (transfer_full),
    .beat_valid_i(load_beat),
    .beat_ready_o(load_beat_ready),
    .buf_we_o,
    .buf_sel_o,
    .buf_addr_o,
    .signal_o    (signal_load),
    .index_o     (write_index),
    .idle_o      (write_idle)
  );
  assign buf_data_o = m_axi_rdata_i;
  assign load_idle  = load_cut_idle & write_idle;

  bf_exec_engine #(
    .Rows      (Rows),
    .Cols      (Cols),
    .PatchDepth(PatchDepth)
  ) u_issue (
    .clk_i, .rst_ni,
    .enable_i     (enable),
    .flush_i      (flush),
    .valid_i      (exec_valid),
    .issued_i     (exec_head),
    .pop_o        (exec_pop),
    .wait_o       (exec_wait),
    .wait_grant_i (exec_grant),
    .signal_o     (signal_exec),
    .run_valid_o,
    .run_ready_i,
    .run_o,
    .run_index_o  (run_index),
    .runs_idle_i,
    .stores_idle_i,
    .load_idle_i  (load_idle & ~load_valid),
    .idle_o       (issue_idle),
    .fence_o      (fence),
    .at_end_o     (at_end),
    .mark_o       (mark),
    .marks_full_i (marks_full),
    .end_o        (end_of_program),
    .fault_o      (issue_fault)
  );

  assign signal_input  = '{valid: sem_input_valid_i & enable, number: sem_input_i, index: run_index};
  assign signal_weight = '{valid: sem_weight_valid_i & enable, number: sem_weight_i, index: run_index};

  bf_semaphores u_semaphores (
    .clk_i, .rst_ni,
    .flush_i        (flush),
    .signal_load_i  (signal_load),
    .signal_exec_i  (signal_exec),
    .signal_input_i (signal_input),
    .signal_weight_i(signal_weight),
    .load_wait_i    (load_wait),
    .load_number_i  (load_head.instr.arg[2:0]),
    .load_grant_o   (load_grant),
    .exec_wait_i    (exec_wait),
    .exec_number_i  (exec_head.instr.arg[2:0]),
    .exec_grant_o   (exec_grant),
    .fault_o        (semaphore_fault)
  );

  assign exec_fault = '{valid: error_valid_i, code: error_i, index: run_index};
  assign bus_fault  = '{valid: bus_error, code: bf_pkg::ErrBus, index: bus_fetch ? fetched.index : write_index};

  bf_supervisor #(.BusBits(BusBits)) u_supervisor (
    .clk_i, .rst_ni,
    .start_i          (start),
    .abort_i          (abort),
    .mem_base_i       (mem_base_o),
    .mem_bytes_i      (mem_bytes_o),
    .program_i        (program_offset),
    .instructions_i   (instructions),
    .cycle_limit_i    (cycle_limit),
    .cycles_i         (cycles),
    .decode_fault_i   (decode_fault),
    .load_fault_i     (load_fault),
    .issue_fault_i    (issue_fault),
    .semaphore_fault_i(semaphore_fault),
    .exec_fault_i     (exec_fault),
    .bus_fault_i      (bus_fault),
    .end_i            (end_of_program),
    .dealt_i          (stuck | exhausted | ended),
    .exhausted_i      (exhausted & ~ended),
    .load_empty_i     (~load_valid),
    .exec_empty_i     (~exec_valid),
    .load_blocked_i   (load_wait & ~load_grant),
    .exec_blocked_i   (exec_wait & ~exec_grant),
    .exec_at_end_i    (at_end),
    .load_idle_i      (load_idle),
    .runs_idle_i      (issue_idle),
    .stores_idle_i,
    .fetch_idle_i     (fetch_idle),
    .load_index_i     (load_head.index),
    .exec_index_i     (exec_head.index),
    .next_index_i     (fetched.index),
    .drained_i        (load_drained),
    .flushed_i        (~load_valid & ~exec_valid & write_idle),
    .launch_o         (launch),
    .clear_o          (clear),
    .enable_o         (enable),
    .stop_o           (stop),
    .flush_o          (flush),
    .busy_o,
    .done_o           (done),
    .error_o          (error),
    .code_o           (code),
    .index_o          (status_index)
  );
  assign stop_o = stop;
  assign status = {status_index, code, 5'd0, error, done, busy_o};

  // What the engines wait for: live while a program runs, then as it was when it stopped.
  logic [31:0] blocked_now, blocked_q;
  assign blocked_now = {11'd0, ~load_idle, ~stores_idle_i, gather_busy_i, ~issue_idle, fence,
                        3'd0, exec_wait & ~exec_grant, {4{exec_wait}} & exec_head.instr.arg[3:0],
                        3'd0, load_wait & ~load_grant, {4{load_wait}} & load_head.instr.arg[3:0]};
  assign blocked     = enable ? blocked_now : blocked_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)     blocked_q <= '0;
    else if (clear)  blocked_q <= '0;
    else if (enable) blocked_q <= blocked_now;
  end

  logic [7:0] exec_blocked, load_blocked;
  assign exec_blocked = exec_wait & ~exec_grant ? 8'd1 << exec_head.instr.arg[2:0] : '0;
  assign load_blocked = load_wait & ~load_grant ? 8'd1 << load_head.instr.arg[2:0] : '0;

  bf_counters u_counters (
    .clk_i, .rst_ni,
    .clear_i       (clear),
    .enable_i      (enable),
    .events_i      ({fetch_pop, beat_written_i, beat, fence, wait_store_i, wait_patch_i, token_i}),
    .exec_blocked_i(exec_blocked),
    .load_blocked_i(load_blocked),
    .cycles_o      (cycles),
    .counter_i     (counter_index),
    .counter_o     (counter),
    .mark_i        (mark),
    .mark_id_i     (exec_head.instr.imm),
    .marks_o       (marks),
    .marks_full_o  (marks_full),
    .mark_read_i   (mark_read),
    .mark_index_i  (mark_index),
    .mark_o        (mark_value)
  );

endmodule
