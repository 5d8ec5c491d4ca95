// Types of the streaming engine. README.md beside this file is the contract.
package stream_pkg;

  // funct7[6:4]
  typedef enum logic [2:0] {
    OpSet        = 3'd0,
    OpGet        = 3'd1,
    OpGather     = 3'd2,
    OpGatherLane = 3'd3,
    OpRun        = 3'd4,
    OpWait       = 3'd5,
    OpReset      = 3'd6,
    OpReserved   = 3'd7
  } op_e;

  // funct3 of OpRun
  typedef enum logic [2:0] {
    RunRun      = 3'd0,
    RunPool     = 3'd1,
    RunPoolKeep = 3'd2,
    RunMap      = 3'd3
  } run_e;

  typedef enum logic [4:0] {
    RegConfig    = 5'd0,
    RegK         = 5'd1,
    RegLanesOn   = 5'd2,
    RegSrcBase   = 5'd3,
    RegRows      = 5'd4,
    RegCols      = 5'd5,
    RegLen       = 5'd6,
    RegRowStride = 5'd7,
    RegColStride = 5'd8,
    RegLaneStep  = 5'd9,
    RegY         = 5'd10,
    RegWidth     = 5'd11,
    RegHeight    = 5'd12,
    RegDstBase   = 5'd13,
    RegDstStride = 5'd14,
    RegN         = 5'd15,
    RegStatus    = 5'd16,
    RegError     = 5'd17,
    RegOps       = 5'd18,
    RegBusy      = 5'd19,
    RegStall     = 5'd20,
    RegInfo      = 5'd21,
    RegM0        = 5'd22,
    RegM1        = 5'd23,
    RegM2        = 5'd24,
    RegM3        = 5'd25,
    RegShift     = 5'd26
  } register_e;

  typedef enum logic [3:0] {
    ErrNone        = 4'd0,
    ErrEncoding    = 4'd1,
    ErrRegister    = 4'd2,
    ErrConfig      = 4'd3,
    ErrLane        = 4'd4,
    ErrCount       = 4'd5,
    ErrBuffer      = 4'd6,
    ErrSource      = 4'd7,
    ErrWeights     = 4'd8,
    ErrDestination = 4'd9,
    ErrRequant     = 4'd10
  } error_e;

  // Operand widths: 8 >> code bits.
  typedef enum logic [1:0] {
    Width8 = 2'd0,
    Width4 = 2'd1,
    Width2 = 2'd2,
    Width1 = 2'd3
  } width_e;

  typedef enum logic [1:0] {
    OutInt32   = 2'd0,
    OutPack    = 2'd1,
    OutLogit   = 2'd2,
    OutIllegal = 2'd3
  } out_e;

  typedef struct packed {
    logic   mix;
    logic   pad_min;
    logic   tail_zero;
    logic   expand;
    logic   bias;
    logic   o_unsigned;
    width_e o;
    out_e   out;
    logic   a_unsigned;
    width_e w;
    width_e a;
  } config_t;

  // Header of a weight row
  typedef struct packed {
    logic [31:0] bias;
    logic [31:0] multiplier;
    logic [5:0]  shift;
  } header_t;

  // The lowest n bits; n up to 32.
  function automatic logic [31:0] low_bits(logic [5:0] n);
    return n[5] ? '1 : ~(32'hFFFF_FFFF << n[4:0]);
  endfunction

  // 32 bits of elements with the least value of their width, two's complement; none where they are unsigned.
  function automatic logic [31:0] min_pattern(width_e width, logic is_unsigned);
    if (is_unsigned) return '0;
    unique case (width)
      Width8:  return 32'h8080_8080;
      Width4:  return 32'h8888_8888;
      Width2:  return 32'hAAAA_AAAA;
      default: return 32'hFFFF_FFFF;
    endcase
  endfunction

endpackage
