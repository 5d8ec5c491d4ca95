// Control of the packer. Pieces join densely in an assembly register of 8 bytes a row, from which one chunk a cycle leaves
// for the patch FIFO. Everything is decided here, when a piece's read is issued, on counts alone: what follows (read, rotation,
// assembly, chunk) is a pipeline of fixed latency that never stops, so that the timing build needs none of it.
module bf_packer
  import bf_gather_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned PatchDepth = 64,
  localparam int unsigned CountW = $clog2(4 * Rows + 1),
  localparam int unsigned SlotW  = $clog2(4 * Rows)
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              clear_i,

  input  logic              valid_i,
  input  logic [CountW-1:0] count_i,
  input  logic              patch_last_i,
  input  logic              run_last_i,
  input  pack_cfg_t         cfg_i,
  output logic              take_o,        // the read is issued

  output logic              slot_o,        // where the piece goes: half of the assembly register,
  output logic [SlotW-1:0]  pos_o,         // and byte in it

  output logic              chunk_o,       // a chunk leaves the assembly register, of this size and with this number in it
  output logic [1:0]        chunk_size_o,
  output logic [3:0]        chunk_index_o,
  output logic              chunk_zero_o,  // of zeros instead: the patch has less than NCH chunks
  output logic              chunk_write_o, // it goes to the patch FIFO; not so behind NCH chunks
  output logic              chunk_last_o,  // of its patch
  output logic [15:0]       passes_o,

  input  logic              release_i,     // a chunk left the patch FIFO for good
  output logic              sem_valid_o,   // the run's last byte has been read
  output logic [3:0]        sem_o,
  output logic              busy_o
);

  localparam int unsigned Slot  = 4 * Rows;
  localparam int unsigned SumW  = SlotW + 2;
  localparam bit          Pow2  = 2 ** SlotW == Slot;
  localparam int unsigned FreeW = $clog2(PatchDepth + 1);

  typedef logic [SumW-1:0] sum_t;

  // Bytes of a chunk
  function automatic sum_t bytes_of(logic [1:0] size);
    return sum_t'((Rows << size) >> 1);
  endfunction

  logic [1:0]        size_q, size;
  logic [15:0]       nch_q, nth_q;            // chunks of a patch; which of them leaves next, from 1
  logic [15:0]       passes_q;
  logic              between_q;               // the run's last piece is in
  logic              fill_q, drop_q;          // zero chunks up to NCH; chunks behind NCH
  logic [SlotW:0]    open_q;                  // bytes of the chunk that is being assembled
  logic [4:0]        pending_q, whole, added, left;
  logic [15:0]       ends_q, ends;            // bit i: the i-th pending chunk is its patch's last
  logic [FreeW-1:0]  free_q;
  logic              has_free_q, pending_some_q;
  logic              pop, last, start_fill, settled, room;
  sum_t              sum, rest, chunk, padding;
  sum_t              room_q, room_popped, room_next;      // bytes free in the assembly register

  // A chunk leaves
  assign chunk_o       = fill_q ? has_free_q : pending_some_q & (has_free_q | drop_q);
  assign pop           = chunk_o & ~fill_q;
  assign last          = nth_q == nch_q;
  assign start_fill    = pop & ends_q[0] & ~last & ~drop_q;
  assign chunk_write_o = chunk_o & ~drop_q;
  assign chunk_last_o  = last;
  assign chunk_zero_o  = fill_q;
  assign chunk_size_o  = size_q;
  assign passes_o      = passes_q;

  // A piece arrives and completes chunks; ends of patches round up to a chunk. A new run begins when nothing of the last
  // one is pending. (An odd number of rows has no half ones in bytes: such runs are illegal.)
  assign size  = Rows % 2 == 1 && cfg_i.chunk == 2'd0 ? 2'd1 : cfg_i.chunk;
  assign chunk = bytes_of(size);
  assign sum   = sum_t'(open_q) + sum_t'(count_i);

  if (Pow2) begin : gen_shift
    localparam logic [2:0] Log2Half = 3'($clog2(Rows) - 1);
    logic [2:0] shift;
    assign shift = Log2Half + 3'(size);
    assign whole = 5'(sum >> shift);
    assign rest  = sum & (chunk - sum_t'(1));
  end else begin : gen_compare
    always_comb begin
      whole = '0;
      rest  = sum;
      for (int unsigned i = 1; i <= 8; i++) begin
        if (32'(sum) >= i * 32'(chunk)) begin
          whole = 5'(i);
          rest  = sum_t'(32'(sum) - i * 32'(chunk));
        end
      end
    end
  end

  assign padding = patch_last_i && rest != '0 ? chunk - rest : '0;
  assign added   = patch_last_i ? whole + 5'(rest != '0) : whole;
  assign left    = pending_q - 5'(pop);
  assign settled = left == '0 && !start_fill && !fill_q;
  assign room    = sum_t'(count_i) <= (pop ? room_popped : room_q);
  assign take_o  = valid_i & (between_q ? settled : room);
  assign room_popped = room_q + bytes_of(size_q);
  assign room_next   = between_q ? sum_t'(2 * Slot) : pop ? room_popped : room_q;
  assign ends    = pop ? ends_q >> 1 : ends_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {between_q, fill_q, drop_q} <= 3'b100;
      {pending_q, pending_some_q} <= '0;
      free_q     <= FreeW'(PatchDepth);
      has_free_q <= 1'b1;
      ends_q     <= '0;
      nth_q      <= 16'd1;
      open_q     <= '0;
    end else if (clear_i) begin
      {between_q, fill_q, drop_q} <= 3'b100;
      {pending_q, pending_some_q} <= '0;
      free_q     <= FreeW'(PatchDepth);
      has_free_q <= 1'b1;
      ends_q     <= '0;
      nth_q      <= 16'd1;
      open_q     <= '0;
    end else begin
      if (take_o || chunk_o) begin
        pending_q      <= left + (take_o ? added : '0);
        pending_some_q <= left != '0 || (take_o && added != '0);
        ends_q         <= ends;
        if (take_o && patch_last_i) ends_q <= ends | (16'd1 << 4'(left + added - 5'd1));
      end
      if (take_o) begin
        between_q <= run_last_i;
        open_q    <= patch_last_i ? '0 : rest[SlotW:0];
      end
      if (chunk_write_o != release_i) begin
        free_q     <= release_i ? free_q + 1'b1 : free_q - 1'b1;
        has_free_q <= release_i || free_q != FreeW'(1);
      end
      if (chunk_write_o) nth_q <= last ? 16'd1 : nth_q + 16'd1;
      if (start_fill) fill_q <= 1'b1;
      else if (chunk_write_o && last) fill_q <= 1'b0;
      if (pop) drop_q <= (drop_q | last) & ~ends_q[0];
    end
  end

  always_ff @(posedge clk_i) begin
    if (take_o)   room_q <= room_next - sum_t'(count_i) - padding;
    else if (pop) room_q <= room_popped;
    if (take_o && between_q) begin
      size_q   <= size;
      nch_q    <= cfg_i.nch;
      passes_q <= cfg_i.passes;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) sem_valid_o <= 1'b0;
    else         sem_valid_o <= take_o & run_last_i & ~clear_i & (cfg_i.sem_input != bf_pkg::NoSemaphore);
  end
  always_ff @(posedge clk_i) if (take_o && run_last_i) sem_o <= cfg_i.sem_input;

  assign busy_o = pending_some_q | fill_q | ~between_q;

  // Places in the assembly register: only the data need them.
  logic             slot_q;
  logic [SlotW-1:0] pos_q;
  logic [3:0]       index_q;
  sum_t             behind;

  assign slot_o        = slot_q & ~between_q;
  assign pos_o         = between_q ? '0 : pos_q;
  assign chunk_index_o = index_q;
  assign behind        = sum_t'(pos_o) + sum_t'(count_i) + padding;

  always_ff @(posedge clk_i) begin
    if (take_o) begin
      slot_q <= slot_o ^ (behind >= sum_t'(Slot) && behind < sum_t'(2 * Slot));
      pos_q  <= SlotW'(behind >= sum_t'(2 * Slot) ? behind - sum_t'(2 * Slot) :
                       behind >= sum_t'(Slot) ? behind - sum_t'(Slot) : behind);
    end
    if (take_o && between_q) index_q <= '0;
    else if (pop)            index_q <= (index_q + 4'd1) & 4'(5'd15 >> size_q);
  end

endmodule
