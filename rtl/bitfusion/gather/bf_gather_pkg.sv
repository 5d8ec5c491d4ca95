// Types of the gather: what a run tells its stages, and the latency of the way from a read to the patch FIFO.
package bf_gather_pkg;

  // For the packer and the patch FIFO.
  typedef struct packed {
    logic [1:0]  chunk;        // a chunk is Rows * 2^chunk / 2 bytes
    logic [15:0] nch;
    logic [15:0] passes;       // how often a patch is delivered
    logic [3:0]  sem_input;
  } pack_cfg_t;

  // For the walk over the segments of a patch.
  typedef struct packed {
    logic               vector;          // every segment is a patch
    logic [15:0]        j, k, groups;
    logic signed [31:0] jstep, kstep, gstep;
    logic signed [31:0] xend, yend;
    logic [15:0]        seg;
    pack_cfg_t          pack;
  } segment_cfg_t;

  // log2 of twice a chunk's bytes per row: CB = N * pf * a / 8.
  function automatic logic [1:0] chunk_log2(logic [1:0] act_log2, logic [1:0] wgt_log2);
    logic [1:0] narrow;
    narrow = 2'd3 - bf_pkg::compute_log2(wgt_log2);       // log2 of 8 / w'
    return act_log2 == 2'd0 ? narrow : narrow + 2'd1;
  endfunction

  // Bytes of a line: the power of two that holds 4 bytes a row.
  function automatic int unsigned line_bytes(int unsigned rows);
    return 32'd1 << $clog2(4 * rows);
  endfunction

  function automatic int unsigned rotate_stages(int unsigned bytes);
    return ($clog2(bytes) + 1) / 2;
  endfunction

  // Cycles from the issue of a read until its bytes stand before the assembly register.
  function automatic int unsigned align_latency(int unsigned rows);
    int unsigned line;
    line = line_bytes(rows);
    return 3 + rotate_stages(line) + (line == 4 * rows ? 0 : rotate_stages(4 * rows));
  endfunction

endpackage
