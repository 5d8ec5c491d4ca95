// Types of the BitFusion accelerator; README.md has the machine and its instruction set.
package bf_pkg;

  // Builds of one source: see README.md.
  localparam int unsigned BuildStructural = 0;
  localparam int unsigned BuildFunctional = 1;
  localparam int unsigned BuildTiming     = 2;

  localparam int unsigned Semaphores = 8;
  localparam logic [3:0]  NoSemaphore = 4'd15;

  typedef enum logic [7:0] {
    OpEnd    = 8'h01,
    OpWait   = 8'h02,
    OpSignal = 8'h03,
    OpFence  = 8'h04,
    OpMark   = 8'h05,
    OpSetL   = 8'h10,
    OpLoad   = 8'h11,
    OpSetX   = 8'h20,
    OpRun    = 8'h21
  } opcode_e;

  typedef struct packed {
    logic [7:0]  opcode;
    logic [23:0] arg;
    logic [31:0] imm;
  } instr_t;

  typedef enum logic [1:0] {
    BufInput  = 2'd0,
    BufWeight = 2'd1,
    BufParam  = 2'd2
  } buffer_e;

  typedef enum logic [7:0] {
    ErrNone      = 8'd0,
    ErrOpcode    = 8'd1,
    ErrField     = 8'd2,
    ErrMemory    = 8'd3,
    ErrBuffer    = 8'd4,
    ErrSemaphore = 8'd5,
    ErrDeadlock  = 8'd6,
    ErrNoEnd     = 8'd7,
    ErrBus       = 8'd8,
    ErrLimit     = 8'd9,
    ErrMarks     = 8'd10
  } error_e;

  typedef enum logic [1:0] {
    VecMax = 2'd0,
    VecSum = 2'd1,
    VecMac = 2'd2
  } vector_e;

  // Exec register 0. Widths are log2 of bits.
  typedef struct packed {
    logic       requant;       // [15]
    logic       emit;          // [14]
    logic       init;          // [13]
    logic [1:0] vector_op;     // [12:11], vector_e
    logic       vector;        // [10]
    logic       out_signed;    // [9]
    logic       out_wide;      // [8]: 32 bits
    logic [1:0] out_log2;      // [7:6]
    logic       wgt_signed;    // [5]
    logic       act_signed;    // [4]
    logic [1:0] wgt_log2;      // [3:2]
    logic [1:0] act_log2;      // [1:0]
  } mode_t;

  // Everything that a RUN takes with it: the exec registers, its destination and its semaphores.
  typedef struct packed {
    mode_t              mode;
    logic [31:0]        ibase;
    logic signed [31:0] x0, y0, xend, yend;
    logic [15:0]        seg;
    logic [15:0]        j, k, px, py, ox, oy, b;
    logic signed [31:0] jstep, kstep, pxstep, pystep, oxstep, oystep, bstep;
    logic [15:0]        nch, noct;
    logic signed [31:0] gstep;
    logic [15:0]        wbase, wstep, pbase, abase;
    logic signed [31:0] ostep_x, ostep_y, ostep_b, ostep_o;
    logic [15:0]        olast;
    logic [2:0]         po;
    logic [31:0]        obase;           // imm of RUN: offset in memory
    logic [3:0]         sem_input;       // signalled when IBUF has been read for the last time
    logic [3:0]         sem_weight;      // signalled when WBUF and PBUF have
  } run_t;

  // log2 of the bits that an operand computes with: 1-bit operands count as 2 bits.
  function automatic logic [1:0] compute_log2(logic [1:0] width_log2);
    return width_log2 == 2'd0 ? 2'd1 : width_log2;
  endfunction

endpackage
