// Load engine: takes instructions from its queue and cuts the rows of a LOAD into bursts, one a cycle, that stay within 4 KiB, within
// 256 beats and within the memory window; a burst is cut in one cycle and leaves in the next. What the beats that come back are for goes to bf_load_write ahead of them.
module bf_load_engine
  import bf_control_pkg::*;
#(
  parameter int unsigned BusBits        = 256,
  parameter int unsigned WbufBeats      = 2048,
  parameter int unsigned PbufBeats      = 384,
  parameter int unsigned MaxOutstanding = 512    // beats requested and not yet received
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        enable_i,           // instructions may be taken and bursts requested
  input  logic        flush_i,            // forget everything; nothing may be under way
  input  logic [31:0] mem_base_i,
  input  logic [31:0] mem_bytes_i,

  input  logic        valid_i,            // head of the queue
  input  issued_t     issued_i,
  output logic        pop_o,
  output logic        wait_o,             // for semaphore issued_i.instr.arg
  input  logic        wait_grant_i,

  output logic        transfer_push_o,
  output transfer_t   transfer_o,
  input  logic        transfer_full_i,

  output logic        ar_valid_o,
  input  logic        ar_ready_i,
  output logic [31:0] ar_addr_o,
  output logic [7:0]  ar_len_o,
  input  logic        beat_valid_i,       // a beat was received

  output logic        idle_o,             // no LOAD being cut, no beat outstanding
  output logic        drained_o,          // no beat outstanding, no request standing
  output fault_t      fault_o
);

  localparam int unsigned BeatBytes = BusBits / 8;
  localparam int unsigned BeatShift = $clog2(BeatBytes);
  localparam int unsigned PageBeats = BeatBytes >= 4096 ? 1 : 4096 / BeatBytes;
  localparam int unsigned MaxBeats  = PageBeats < 256 ? PageBeats : 256;
  localparam int unsigned CreditW   = $clog2(MaxOutstanding + 1);

  // Registers of the engine; a count that does not fit becomes 0, which LOAD refuses.
  logic [15:0] rows_q, beats_q;
  logic [31:0] mstride_q, dst_q, dstride_q;

  // The LOAD being cut. Offsets have a bit more than an address: one that leaves 32 bits leaves the window.
  logic            active_q, row_start_q;
  logic [32:0]     row_offset_q, row_dst_q;    // of the row
  logic [31:0]     addr_q;                     // of the next burst
  logic [15:0]     row_beats_q, left_q, rows_left_q, index_q;
  logic [31:0]     stride_q, dst_stride_q;
  bf_pkg::buffer_e target_q;

  // The next burst, cut and checked; from here on it only waits for room.
  logic            next_valid_q, next_legal_q, next_in_window_q;
  logic [31:0]     next_addr_q;
  logic [8:0]      next_length_q;
  logic [15:0]     next_index_q;

  logic               ar_valid_q;
  logic [31:0]        ar_addr_q;
  logic [7:0]         ar_len_q;
  logic [CreditW-1:0] flight_q;

  logic [7:0]  opcode;
  logic [7:0]  arg;
  logic [31:0] imm;
  assign opcode = issued_i.instr.opcode;
  assign arg    = issued_i.instr.arg[7:0];
  assign imm    = issued_i.instr.imm;

  // Instructions
  logic is_load, is_signal, is_setl, load_field, load_aligned, load_legal, accept, cut_done;
  assign is_load      = valid_i & (opcode == bf_pkg::OpLoad);
  assign is_signal    = valid_i & (opcode == bf_pkg::OpSignal);
  assign is_setl      = valid_i & (opcode == bf_pkg::OpSetL);
  assign load_field   = (rows_q != '0) & (beats_q != '0);
  assign load_aligned = (imm[BeatShift-1:0] == '0) & ((rows_q == 16'd1) | (mstride_q[BeatShift-1:0] == '0));
  assign load_legal   = load_field & load_aligned;
  assign accept       = enable_i & is_load & load_legal & ~transfer_full_i & (~active_q | cut_done);

  assign wait_o          = enable_i & valid_i & (opcode == bf_pkg::OpWait);
  assign transfer_push_o = accept | (enable_i & is_signal & ~transfer_full_i & ~active_q);
  assign pop_o           = transfer_push_o | wait_grant_i | (enable_i & is_setl);

  always_comb begin
    transfer_o.signal_only = is_signal;
    transfer_o.target      = arg[1:0] == 2'd0 ? bf_pkg::BufInput : arg[1:0] == 2'd1 ? bf_pkg::BufWeight : bf_pkg::BufParam;
    transfer_o.semaphore   = is_signal ? arg[3:0] : arg[7:4];
    transfer_o.index       = issued_i.index;
    transfer_o.rows        = rows_q;
    transfer_o.beats       = beats_q;
    transfer_o.dst         = dst_q;
    transfer_o.dstride     = dstride_q;
  end

  // Bursts
  logic [15:0] to_boundary, length;
  logic        in_window, in_buffer, room, burst, cut, row_done;
  logic [32:0] row_last, next_offset, next_dst, buffer_last, buffer_beats;

  if (PageBeats > 1) begin : gen_page
    logic [15:0] to_page;
    assign to_page     = 16'(PageBeats) - 16'(addr_q[11:BeatShift]);
    assign to_boundary = to_page < 16'(MaxBeats) ? to_page : 16'(MaxBeats);
  end else begin : gen_single
    assign to_boundary = 16'd1;
  end

  assign length       = left_q < to_boundary ? left_q : to_boundary;
  assign row_last     = {1'b0, row_offset_q[31:0]} + (33'(row_beats_q) << BeatShift);
  assign in_window    = ~row_offset_q[32] & (row_last <= 33'(mem_bytes_i));
  assign buffer_last  = {1'b0, row_dst_q[31:0]} + 33'(row_beats_q);
  assign buffer_beats = target_q == bf_pkg::BufWeight ? 33'(WbufBeats) : 33'(PbufBeats);
  assign in_buffer    = (target_q == bf_pkg::BufInput) | (~row_dst_q[32] & (buffer_last <= buffer_beats));
  assign room         = (~ar_valid_q | ar_ready_i) & (32'(flight_q) + 32'(next_length_q) <= MaxOutstanding);
  assign burst        = enable_i & next_valid_q & next_legal_q & room;
  assign cut          = active_q & (~next_valid_q | burst);
  assign row_done     = left_q <= to_boundary;
  assign cut_done     = cut & row_done & (rows_left_q == 16'd1);
  assign next_offset  = {1'b0, row_offset_q[31:0]} + {1'b0, stride_q};
  assign next_dst     = {1'b0, row_dst_q[31:0]} + {1'b0, dst_stride_q};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rows_q       <= '0;
      beats_q      <= '0;
      mstride_q    <= '0;
      dst_q        <= '0;
      dstride_q    <= '0;
      active_q     <= 1'b0;
      next_valid_q <= 1'b0;
      ar_valid_q   <= 1'b0;
      flight_q     <= '0;
    end else if (flush_i) begin
      rows_q       <= '0;
      beats_q      <= '0;
      mstride_q    <= '0;
      dst_q        <= '0;
      dstride_q    <= '0;
      active_q     <= 1'b0;
      next_valid_q <= 1'b0;
    end else begin
      if (enable_i && is_setl) begin
        unique case (arg[2:0])
          3'd0:    rows_q    <= imm[31:16] != '0 ? '0 : imm[15:0];
          3'd1:    beats_q   <= imm[31:16] != '0 ? '0 : imm[15:0];
          3'd2:    mstride_q <= imm;
          3'd3:    dst_q     <= imm;
          default: dstride_q <= imm;
        endcase
      end
      if (accept)        active_q <= 1'b1;
      else if (cut_done) active_q <= 1'b0;
      if (cut)        next_valid_q <= 1'b1;
      else if (burst) next_valid_q <= 1'b0;
      if (burst)           ar_valid_q <= 1'b1;
      else if (ar_ready_i) ar_valid_q <= 1'b0;
      if (burst || beat_valid_i) flight_q <= flight_q + (burst ? CreditW'(next_length_q) : '0) - CreditW'(beat_valid_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (burst) begin
      ar_addr_q <= next_addr_q;
      ar_len_q  <= 8'(next_length_q - 9'd1);
    end
    if (cut) begin
      next_addr_q      <= addr_q;
      next_length_q    <= length[8:0];
      next_legal_q     <= ~row_start_q | (in_window & in_buffer);
      next_in_window_q <= in_window;
      next_index_q     <= index_q;
    end
    if (accept) begin
      row_start_q  <= 1'b1;
      row_offset_q <= {1'b0, imm};
      row_dst_q    <= {1'b0, dst_q};
      addr_q       <= mem_base_i + imm;
      row_beats_q  <= beats_q;
      left_q       <= beats_q;
      rows_left_q  <= rows_q;
      index_q      <= issued_i.index;
      stride_q     <= mstride_q;
      dst_stride_q <= dstride_q;
      target_q     <= transfer_o.target;
    end else if (cut) begin
      row_start_q <= row_done;
      if (row_done) begin
        row_offset_q <= next_offset;
        row_dst_q    <= next_dst;
        addr_q       <= mem_base_i + next_offset[31:0];
        left_q       <= row_beats_q;
        rows_left_q  <= rows_left_q - 16'd1;
      end else begin
        addr_q <= addr_q + (32'(length) << BeatShift);
        left_q <= left_q - length;
      end
    end
  end

  assign ar_valid_o = ar_valid_q;
  assign ar_addr_o  = ar_addr_q;
  assign ar_len_o   = ar_len_q;
  assign drained_o  = flight_q == '0;
  assign idle_o     = ~active_q & ~next_valid_q & drained_o;

  // The burst that waits is older than the instruction at the head of the queue.
  always_comb begin
    fault_o.valid = 1'b0;
    fault_o.code  = bf_pkg::ErrMemory;
    fault_o.index = next_index_q;
    if (next_valid_q && !next_legal_q) begin
      fault_o.valid = 1'b1;
      if (next_in_window_q) fault_o.code = bf_pkg::ErrBuffer;
    end else if (is_load && !load_legal) begin
      fault_o.valid = 1'b1;
      fault_o.index = issued_i.index;
      if (!load_field) fault_o.code = bf_pkg::ErrField;
    end
  end

endmodule
