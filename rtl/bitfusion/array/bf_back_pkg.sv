// Types of the back end: what travels with a token from issue to the store unit, and how operands widen.
package bf_back_pkg;
  import bf_pkg::*;

  localparam int unsigned ItemDepth = 32;    // vectors that the store unit holds, and issue's credits for it
  localparam int unsigned RunDepth  = 4;     // runs accepted before the one that issues
  localparam int unsigned PoolSlots = 32;    // groups of octets in a fused pooling window

  // The part of a run that the back end needs.
  typedef struct packed {
    mode_t              mode;
    logic [15:0]        inner, outer;        // array: NCH, 1; vector: J, K
    logic [15:0]        noct, px, py, ox, oy, b;
    logic [15:0]        wbase, wstep, pbase, abase, olast;
    logic signed [31:0] ostep_x, ostep_y, ostep_b, ostep_o;
    logic [31:0]        obase;
    logic [2:0]         po;
    logic [3:0]         sem_weight;
  } back_run_t;

  // For the operands and the array.
  typedef struct packed {
    logic [1:0] act_log2, wgt_log2;
    logic       act_signed, wgt_signed;
    logic       vector, left_out;            // left_out: bytes outside the image are left out of a maximum
    logic [2:0] sub;                         // sub-word of the weights
  } unit_ctl_t;

  // For the accumulators.
  typedef struct packed {
    logic        first, init, last, emit, max;
    logic [15:0] entry;                      // of OBUF
    logic        run_last;
    logic [3:0]  sem_weight;
  } acc_ctl_t;

  // For post-processing.
  typedef struct packed {
    logic        mac, mac_first, mac_last;
    logic        requant;
    logic        out_wide, out_signed;
    logic [1:0]  out_log2;
    logic        pool_first, pool_last;
    logic [4:0]  slot;
    logic [15:0] param;                      // entry of PBUF
  } post_ctl_t;

  // Bits to the pairs of bits: bit i at 2 i.
  function automatic logic [31:0] spread(logic [15:0] bits);
    logic [31:0] x;
    x = {16'b0, bits};
    x = (x | (x << 8)) & 32'h00FF_00FF;
    x = (x | (x << 4)) & 32'h0F0F_0F0F;
    x = (x | (x << 2)) & 32'h3333_3333;
    x = (x | (x << 1)) & 32'h5555_5555;
    return x;
  endfunction

  // Activations of a row as its unit takes them. *field*: the row's bits in the chunk at [0]; *present*: bytes of them
  // that are real, for 1-bit elements (*single*), whose code 0 is not zero.
  function automatic logic [31:0] expand_act(logic [31:0] field, logic [1:0] present, logic single, logic is_signed);
    logic [31:0] ones;
    if (!single) return field;
    ones = spread({{8{present[1]}}, {8{present[0]}}});
    if (!is_signed) return spread(field[15:0]);
    return (spread(field[15:0] & {{8{present[1]}}, {8{present[0]}}}) << 1) | ones;
  endfunction

  // log2 of the bits of a sub-word: pf * w.
  function automatic logic [2:0] subword_log2(logic [1:0] act_log2, logic [1:0] wgt_log2);
    return 3'd6 - {1'b0, compute_log2(act_log2)} - {2'b0, wgt_log2 == 2'd0};
  endfunction

  // Weights of a unit: the sub-word of its word, from bit *shift*; 1-bit codes (*single*) as pairs of bits.
  function automatic logic [31:0] expand_wgt(logic [31:0] word, logic [4:0] shift, logic single, logic is_signed);
    logic [31:0] picked;
    picked = word >> shift;
    if (!single) return picked;
    return is_signed ? (spread(picked[15:0]) << 1) | 32'h5555_5555 : spread(picked[15:0]);
  endfunction

endpackage
