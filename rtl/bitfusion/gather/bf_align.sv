// Data of the packer: reads IBUF, rotates the bytes of a piece to their place in the assembly register, and takes chunks out
// of it. A pipeline without stalls; the packer's control knows what it holds. Not in the timing build.
module bf_align
  import bf_gather_pkg::*;
#(
  parameter int unsigned Rows      = 16,
  parameter int unsigned IbufBytes = 32 * 1024,
  parameter int unsigned BusBits   = 256,
  localparam int unsigned CountW = $clog2(4 * Rows + 1),
  localparam int unsigned SlotW  = $clog2(4 * Rows),
  localparam int unsigned AddrW  = $clog2(IbufBytes)
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,       // forget the assembly register

  input  logic               we_i,
  input  logic [31:0]        waddr_i,
  input  logic [BusBits-1:0] wdata_i,

  input  logic               read_i,
  input  logic [AddrW-1:0]   addr_i,
  input  logic               slot_i,
  input  logic [SlotW-1:0]   pos_i,
  input  logic [CountW-1:0]  low_i,
  input  logic [CountW-1:0]  high_i,

  input  logic               chunk_i,
  input  logic [1:0]         chunk_size_i,
  input  logic [3:0]         chunk_index_i,
  input  logic               chunk_zero_i,

  output logic [32*Rows-1:0] data_o,        // align_latency + 2 cycles after chunk_i
  output logic [4*Rows-1:0]  mask_o
);

  localparam int unsigned Slot    = 4 * Rows;
  localparam int unsigned Line    = line_bytes(Rows);
  localparam int unsigned OffsetW = $clog2(Line);
  localparam int unsigned Latency = align_latency(Rows);
  localparam int unsigned First   = rotate_stages(Line);
  localparam int unsigned SumW    = SlotW + 2;

  typedef logic [SumW-1:0] sum_t;

  // Cycles since the issue: bit i of valid says that there is something in the registers of cycle i + 1.
  logic [Latency-1:0] valid_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      valid_q <= '0;
    else if (clear_i) valid_q <= '0;
    else              valid_q <= {valid_q[Latency-2:0], read_i};
  end

  // The part of a piece inside the image goes to bytes [start, stop) from the beginning of its half on.
  typedef struct packed {
    logic             slot;
    logic [SlotW-1:0] pos;
    sum_t             start, stop;
    logic [OffsetW-1:0] offset;
  } place_t;
  place_t place_q [Latency-1];

  always_ff @(posedge clk_i) begin
    if (read_i) begin
      place_q[0] <= '{
        slot:  slot_i, pos: pos_i,
        start: sum_t'(pos_i) + sum_t'(low_i), stop: sum_t'(pos_i) + sum_t'(high_i),
        offset: addr_i[OffsetW-1:0]
      };
    end
    for (int unsigned i = 1; i < Latency - 1; i++) if (valid_q[i-1]) place_q[i] <= place_q[i-1];
  end

  logic [8*Line-1:0] line, turned;
  logic [8*Slot-1:0] placed;

  bf_ibuf #(.LineBytes(Line), .IbufBytes(IbufBytes), .BusBits(BusBits)) u_ibuf (
    .clk_i, .rst_ni, .we_i, .waddr_i, .wdata_i, .re_i(read_i), .raddr_i(addr_i), .rdata_o(line)
  );

  // Where a slot is a line one rotation does both, out of the line and into the slot.
  if (Line == Slot) begin : gen_one
    bf_rotate #(.Bytes(Line)) u_rotate (
      .clk_i, .valid_i(valid_q[2 +: First]),
      .amount_i(place_q[2].pos - place_q[2].offset), .data_i(line), .data_o(turned)
    );
    assign placed = turned;
  end else begin : gen_two
    logic unused_top;
    bf_rotate #(.Bytes(Line)) u_out (
      .clk_i, .valid_i(valid_q[2 +: First]), .amount_i(-place_q[2].offset), .data_i(line), .data_o(turned)
    );
    bf_rotate #(.Bytes(Slot)) u_in (
      .clk_i, .valid_i(valid_q[Latency-2 -: Latency-3-First]), .amount_i(place_q[First+2].pos),
      .data_i(turned[8*Slot-1:0]), .data_o(placed)
    );
    assign unused_top = ^turned;
  end

  // Bytes that the piece writes, in its half and in the other
  place_t            last;
  sum_t              start, stop;
  logic [Slot-1:0]   from, upto, here, beyond;
  logic [2*Slot-1:0] write, write_q;
  logic              start_over, stop_over;

  logic unused;
  assign last       = place_q[Latency-2];
  assign unused     = ^last;                  // its position and offset have served
  assign start_over = last.start >= sum_t'(Slot);
  assign stop_over  = last.stop > sum_t'(Slot);
  assign start      = start_over ? last.start - sum_t'(Slot) : last.start;
  assign stop       = stop_over ? last.stop - sum_t'(Slot) : last.stop;
  assign from       = {Slot{1'b1}} << start;
  assign upto       = ~({Slot{1'b1}} << stop);
  always_comb begin
    here   = start_over ? '0 : stop_over ? from : from & upto;
    beyond = !stop_over ? '0 : start_over ? from & upto : upto;
    write  = last.slot ? {here, beyond} : {beyond, here};
  end
  always_ff @(posedge clk_i) if (valid_q[Latency-2]) write_q <= write;

  // Chunks: bytes of the assembly register in groups of half a byte a row
  typedef struct packed {
    logic [1:0] size;
    logic [3:0] index;
    logic       zero;
  } chunk_t;
  logic [Latency:0] chunk_valid_q;
  chunk_t           chunk_q [Latency], chunk;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      chunk_valid_q <= '0;
    else if (clear_i) chunk_valid_q <= '0;
    else              chunk_valid_q <= {chunk_valid_q[Latency-1:0], chunk_i};
  end
  always_ff @(posedge clk_i) begin
    if (chunk_i) chunk_q[0] <= '{size: chunk_size_i, index: chunk_index_i, zero: chunk_zero_i};
    for (int unsigned i = 1; i < Latency; i++) if (chunk_valid_q[i-1]) chunk_q[i] <= chunk_q[i-1];
  end
  assign chunk = chunk_q[Latency-1];

  logic [15:0]       groups;               // of the assembly register, that the chunk takes
  logic [2*Slot-1:0] taken;
  for (genvar g = 0; g < 16; g++) begin : gen_group
    assign groups[g] = (4'(g) >> chunk.size) == chunk.index && !chunk.zero && chunk_valid_q[Latency-1];
  end
  for (genvar i = 0; i < 2 * Slot; i++) begin : gen_taken
    assign taken[i] = groups[2 * i / Rows];
  end

  // Assembly register; bytes that no piece wrote keep a mask of 0.
  logic [8*Slot-1:0] half_q [2];
  logic [2*Slot-1:0] mask_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                                              mask_q <= '0;
    else if (clear_i)                                         mask_q <= '0;
    else if (valid_q[Latency-1] || chunk_valid_q[Latency-1])
      mask_q <= (mask_q & ~taken) | (valid_q[Latency-1] ? write_q : '0);
  end
  for (genvar h = 0; h < 2; h++) begin : gen_half
    always_ff @(posedge clk_i) begin
      if (valid_q[Latency-1]) begin
        for (int unsigned i = 0; i < Slot; i++) if (write_q[h*Slot+i]) half_q[h][8*i +: 8] <= placed[8*i +: 8];
      end
    end
  end

  // The chunk's half with everything else cleared, then moved to the bottom by quarters, eighths, sixteenths of both
  logic              which;
  logic [2:0]        first, first_q;
  logic [Slot-1:0]   mask, mask_1_q, mask_4, mask_2, mask_1;
  logic [8*Slot-1:0] data, data_1_q, data_4, data_2, data_1;

  assign {which, first} = chunk.index << chunk.size;
  assign mask = which ? mask_q[2*Slot-1:Slot] & taken[2*Slot-1:Slot] : mask_q[Slot-1:0] & taken[Slot-1:0];
  for (genvar i = 0; i < Slot; i++) begin : gen_data
    assign data[8*i +: 8] = {8{mask[i]}} & (which ? half_q[1][8*i +: 8] : half_q[0][8*i +: 8]);
  end

  assign mask_4 = first_q[2] ? mask_1_q >> (2 * Rows) : mask_1_q;
  assign mask_2 = first_q[1] ? mask_4 >> Rows         : mask_4;
  assign mask_1 = first_q[0] ? mask_2 >> (Rows / 2)   : mask_2;
  assign data_4 = first_q[2] ? data_1_q >> (16 * Rows)      : data_1_q;
  assign data_2 = first_q[1] ? data_4 >> (8 * Rows)         : data_4;
  assign data_1 = first_q[0] ? data_2 >> (8 * (Rows / 2))   : data_2;

  always_ff @(posedge clk_i) begin
    if (chunk_valid_q[Latency-1]) begin
      first_q  <= first;
      mask_1_q <= mask;
      data_1_q <= data;
    end
    if (chunk_valid_q[Latency]) begin
      mask_o <= mask_1;
      data_o <= data_1;
    end
  end

endmodule
