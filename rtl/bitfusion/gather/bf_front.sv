// Input side of the accelerator: IBUF, the walk over the windows of a run (im2col), the packer and the patch FIFO. Delivers
// the chunks of runs in the order of README.md's loops, replays included.
module bf_front
  import bf_pkg::*;
  import bf_gather_pkg::*;
#(
  parameter int unsigned Rows       = 16,              // 2 and more
  parameter int unsigned BusBits    = 256,
  parameter int unsigned IbufBytes  = 32 * 1024,
  parameter int unsigned PatchDepth = 64,              // power of two
  parameter int unsigned Build      = BuildStructural
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               stop_i,                   // while high: forget everything, take no run

  input  logic               run_valid_i,
  output logic               run_ready_o,
  input  run_t               run_i,

  input  logic               ibuf_we_i,
  input  logic [31:0]        ibuf_addr_i,              // beat, modulo the buffer's size
  input  logic [BusBits-1:0] ibuf_data_i,

  output logic               sem_input_valid_o,
  output logic [3:0]         sem_input_o,

  output logic               chunk_valid_o,
  input  logic               chunk_ready_i,
  output logic [32*Rows-1:0] chunk_data_o,
  output logic [4*Rows-1:0]  chunk_mask_o,             // 1: the byte is real; else its data are 0

  output logic               busy_o,                   // reads or packs
  output logic               idle_o                    // no run here at all
);

  localparam int unsigned AddrW   = $clog2(IbufBytes);
  localparam int unsigned CountW  = $clog2(4 * Rows + 1);
  localparam int unsigned SlotW   = $clog2(4 * Rows);
  localparam int unsigned Latency = align_latency(Rows) + 2;     // of a chunk, from the packer's control to the patch FIFO

  // Walk: pixels, segments, pieces
  logic              pixel_valid, pixel_take, pixel_last, run_ready;
  logic [31:0]       pixel_x, pixel_y;
  logic [AddrW-1:0]  pixel_z;
  segment_cfg_t      pixel_cfg;
  logic              segment_valid, segment_take, segment_patch_last, segment_run_last, segment_outside;
  logic [31:0]       segment_x, segment_room;
  logic [AddrW-1:0]  segment_addr;
  logic [15:0]       segment_bytes;
  pack_cfg_t         segment_cfg;
  logic              cutting, piece_valid, piece_take, piece_patch_last, piece_run_last;
  logic [CountW-1:0] piece_count, piece_low, piece_high;
  logic [AddrW-1:0]  piece_addr;
  pack_cfg_t         piece_cfg;

  assign run_ready_o = run_ready & ~stop_i;

  bf_pixels #(.AddrW(AddrW), .Build(Build)) u_pixels (
    .clk_i, .rst_ni, .clear_i(stop_i), .run_valid_i, .run_ready_o(run_ready), .run_i,
    .valid_o(pixel_valid), .take_i(pixel_take), .last_o(pixel_last),
    .x_o(pixel_x), .y_o(pixel_y), .z_o(pixel_z), .cfg_o(pixel_cfg)
  );

  bf_segments #(.AddrW(AddrW), .Build(Build)) u_segments (
    .clk_i, .rst_ni, .clear_i(stop_i),
    .pixel_valid_i(pixel_valid), .pixel_take_o(pixel_take), .pixel_last_i(pixel_last),
    .pixel_x_i(pixel_x), .pixel_y_i(pixel_y), .pixel_z_i(pixel_z), .pixel_cfg_i(pixel_cfg),
    .valid_o(segment_valid), .take_i(segment_take), .patch_last_o(segment_patch_last), .run_last_o(segment_run_last),
    .x_o(segment_x), .room_o(segment_room), .outside_o(segment_outside), .addr_o(segment_addr),
    .seg_o(segment_bytes), .cfg_o(segment_cfg)
  );

  bf_pieces #(.Rows(Rows), .AddrW(AddrW), .Build(Build)) u_pieces (
    .clk_i, .rst_ni, .clear_i(stop_i),
    .segment_valid_i(segment_valid), .segment_take_o(segment_take),
    .patch_last_i(segment_patch_last), .run_last_i(segment_run_last),
    .x_i(segment_x), .room_i(segment_room), .outside_i(segment_outside), .addr_i(segment_addr),
    .seg_i(segment_bytes), .cfg_i(segment_cfg), .busy_o(cutting),
    .valid_o(piece_valid), .take_i(piece_take), .count_o(piece_count),
    .patch_last_o(piece_patch_last), .run_last_o(piece_run_last), .cfg_o(piece_cfg),
    .addr_o(piece_addr), .low_o(piece_low), .high_o(piece_high)
  );

  // Packer: control, and its data
  logic             slot, chunk, chunk_zero, chunk_write, chunk_last, released, packing;
  logic [SlotW-1:0] pos;
  logic [1:0]       chunk_size;
  logic [3:0]       chunk_index;
  logic [15:0]      passes;

  bf_packer #(.Rows(Rows), .PatchDepth(PatchDepth)) u_packer (
    .clk_i, .rst_ni, .clear_i(stop_i),
    .valid_i(piece_valid), .count_i(piece_count), .patch_last_i(piece_patch_last), .run_last_i(piece_run_last),
    .cfg_i(piece_cfg), .take_o(piece_take), .slot_o(slot), .pos_o(pos),
    .chunk_o(chunk), .chunk_size_o(chunk_size), .chunk_index_o(chunk_index), .chunk_zero_o(chunk_zero),
    .chunk_write_o(chunk_write), .chunk_last_o(chunk_last), .passes_o(passes),
    .release_i(released), .sem_valid_o(sem_input_valid_o), .sem_o(sem_input_o), .busy_o(packing)
  );

  logic [32*Rows-1:0] data;
  logic [4*Rows-1:0]  mask;
  if (Build != BuildTiming) begin : gen_align
    bf_align #(.Rows(Rows), .IbufBytes(IbufBytes), .BusBits(BusBits)) u_align (
      .clk_i, .rst_ni, .clear_i(stop_i), .we_i(ibuf_we_i), .waddr_i(ibuf_addr_i), .wdata_i(ibuf_data_i),
      .read_i(piece_take), .addr_i(piece_addr), .slot_i(slot), .pos_i(pos), .low_i(piece_low), .high_i(piece_high),
      .chunk_i(chunk), .chunk_size_i(chunk_size), .chunk_index_i(chunk_index), .chunk_zero_i(chunk_zero),
      .data_o(data), .mask_o(mask)
    );
  end else begin : gen_no_align
    logic unused;
    assign unused = ^{ibuf_we_i, ibuf_addr_i, ibuf_data_i, piece_addr, slot, pos, piece_low, piece_high,
                      chunk, chunk_size, chunk_index, chunk_zero};
    assign data = '0;
    assign mask = '0;
  end

  // The chunk reaches the patch FIFO when it has come through the data's pipeline.
  logic [Latency-1:0] coming_q;
  logic               empty;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)     coming_q <= '0;
    else if (stop_i) coming_q <= '0;
    else             coming_q <= {coming_q[Latency-2:0], chunk_write};
  end

  bf_patch_fifo #(.Rows(Rows), .PatchDepth(PatchDepth), .Build(Build)) u_fifo (
    .clk_i, .rst_ni, .clear_i(stop_i),
    .claim_i(chunk_write), .claim_last_i(chunk_last), .claim_passes_i(passes),
    .write_i(coming_q[Latency-1]), .write_data_i(data), .write_mask_i(mask), .release_o(released),
    .chunk_valid_o, .chunk_ready_i, .chunk_data_o, .chunk_mask_o, .empty_o(empty)
  );

  assign busy_o = pixel_valid | segment_valid | cutting | piece_valid | packing;
  assign idle_o = ~busy_o & empty & ~sem_input_valid_o & (coming_q == '0);

endmodule
