// Registers and commands of the streaming engine. An instruction acts in the cycle in which its command is accepted.
module stream_regs
  import stream_pkg::*;
#(
  parameter int unsigned Lanes    = 4,
  parameter int unsigned BufWords = 2048          // 32-bit words of a lane buffer
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  input  logic               cmd_valid_i,
  output logic               cmd_ready_o,
  input  logic [9:0]         cmd_function_id_i,   // {funct7, funct3}, funct7[3:0] = 0
  input  logic [31:0]        cmd_inputs_0_i,
  input  logic [31:0]        cmd_inputs_1_i,
  output logic               rsp_valid_o,
  input  logic               rsp_ready_i,
  output logic [31:0]        rsp_outputs_0_o,

  input  logic               busy_i,              // an operation is under way
  input  logic               stall_i,             // it waits for the memory
  input  error_e             error_i,             // it stopped with this error, ErrNone otherwise
  output logic               gather_start_o,
  output logic               gather_single_o,     // one lane only:
  output logic [2:0]         gather_lane_o,
  output logic               run_start_o,         // RUN or MAP:
  output logic               map_o,
  output logic               pool_start_o,        // POOL or POOL_KEEP:
  output logic               pool_keep_o,
  output logic               peek_o,              // read the lane buffers at the address in inputs_0
  input  logic [31:0]        peek_data_i [Lanes], // a cycle later

  output config_t            config_o,
  output logic [16:0]        k_o,
  output logic [2:0]         lanes_on_o,
  output logic [31:0]        src_base_o,
  output logic [15:0]        rows_o,
  output logic [15:0]        cols_o,
  output logic [16:0]        len_o,
  output logic [31:0]        row_stride_o,
  output logic [31:0]        col_stride_o,
  output logic [31:0]        lane_step_o,
  output logic [31:0]        y_o,
  output logic [30:0]        width_o,
  output logic [30:0]        height_o,
  output logic [31:0]        dst_base_o,
  output logic [31:0]        dst_stride_o,
  output logic [15:0]        n_o,
  output logic [30:0]        m_o [4],
  output logic [5:0]         shift_o
);

  op_e         op;
  register_e   index;
  logic        legal, idle, ready, fire, set, peek_q, peek_hit;
  logic        store;                             // SET of a value that fits
  logic [$clog2(BufWords)-1:0] peek_word_q;
  logic [31:0] value, status, ops_q, busy_q, stall_q;
  error_e      error_q, error_d, start_error, peek_error;
  run_e        run_kind;
  config_t     config_q;

  logic [2:0] funct3;
  assign op       = op_e'(cmd_function_id_i[9:7]);
  assign funct3   = cmd_function_id_i[2:0];
  assign run_kind = run_e'(funct3);
  assign value    = cmd_inputs_0_i;
  assign index    = register_e'(cmd_inputs_1_i[4:0]);
  assign idle     = ~busy_i;

  always_comb begin
    legal = funct3 == 3'd0;
    ready = idle;
    unique case (op)
      OpGet: begin
        legal = funct3 <= 3'd1;
        ready = funct3[0] ? idle & (peek_hit | (peek_error != ErrNone)) : 1'b1;
      end
      OpGatherLane: legal = 1'b1;
      OpRun:        legal = funct3 <= 3'd3;
      OpReserved: begin
        legal = 1'b1;
        ready = 1'b1;
      end
      default: ;
    endcase
    if (cmd_function_id_i[6:3] != '0) legal = 1'b0;
    if (!legal) ready = 1'b1;
  end

  assign rsp_valid_o = cmd_valid_i & ready;
  assign cmd_ready_o = rsp_ready_i & ready;
  assign fire        = cmd_valid_i & rsp_ready_i & ready;
  assign set         = fire & legal & (op == OpSet);

  // PEEK: the buffer is read in one cycle and answers in the next. A PEEK that was withdrawn may have left another word.
  assign peek_error = 32'(cmd_inputs_1_i) >= Lanes || cmd_inputs_0_i >= BufWords ? ErrLane : ErrNone;
  assign peek_hit   = peek_q & (peek_word_q == cmd_inputs_0_i[$clog2(BufWords)-1:0]);
  assign peek_o     = cmd_valid_i & idle & ~peek_hit & (op == OpGet) & (funct3 == 3'd1);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) peek_q <= 1'b0;
    else         peek_q <= cmd_valid_i & ~fire & (peek_o | peek_q);
  end
  always_ff @(posedge clk_i) if (peek_o) peek_word_q <= cmd_inputs_0_i[$clog2(BufWords)-1:0];

  // Checks of settings before an operation starts. Functions, which a simulator evaluates only for a command that asks.
  localparam int unsigned BufBits = 32 * BufWords;
  logic gathers, pooling, counted;
  assign gathers = (op == OpGather) | (op == OpGatherLane);
  assign pooling = (run_kind == RunPool) | (run_kind == RunPoolKeep);
  assign counted = fire & legal & (gathers | (op == OpRun));

  function automatic logic lanes_bad();
    return lanes_on_o == 3'd0 || 32'(lanes_on_o) > Lanes;
  endfunction

  // value is the number of elements of POOL and MAP
  function automatic logic elements_bad();
    return value == '0 || value[31:17] != '0 || (20'(value[16:0]) << (2'd3 - config_q.a)) > 20'(BufBits);
  endfunction

  function automatic logic [4:0] out_mask();
    if (pooling)                return 5'(5'd7 >> config_q.a);
    if (config_q.out == OutPack) return 5'(5'd7 >> config_q.o);
    return 5'd31;
  endfunction

  function automatic logic dst_bad();
    return ((cmd_inputs_1_i[4:0] + {dst_base_o[1:0], 3'b0}) & out_mask()) != '0;
  endfunction

  function automatic logic requant_bad();
    logic bad;
    bad = shift_o == 6'd0 || shift_o == 6'd63;
    for (int unsigned i = 0; i < 4; i++) if (3'(i) < lanes_on_o && m_o[i] == '0) bad = 1'b1;
    return bad;
  endfunction

  function automatic error_e gather_error();
    if (lanes_bad() || (op == OpGatherLane && 32'(funct3) >= Lanes)) return ErrLane;
    if (rows_o == '0 || cols_o == '0 || len_o == '0 || (len_o[16] && len_o[15:0] != '0)) return ErrCount;
    return ErrNone;
  endfunction

  function automatic error_e run_error();
    if (config_q.out == OutIllegal) return ErrConfig;
    if (lanes_bad()) return ErrLane;
    if (k_o == '0 || n_o == '0 || (20'(k_o) << (2'd3 - config_q.a)) > 20'(BufBits)) return ErrCount;
    if (value[1:0] != '0) return ErrWeights;
    if (dst_bad() || (lanes_on_o != 3'd1 && (dst_stride_o[4:0] & out_mask()) != '0)) return ErrDestination;
    return ErrNone;
  endfunction

  function automatic error_e map_error();
    if (config_q.out == OutInt32 || config_q.out == OutIllegal) return ErrConfig;
    if (lanes_bad()) return ErrLane;
    if (elements_bad() || k_o == '0) return ErrCount;
    if (dst_bad()) return ErrDestination;
    if (requant_bad()) return ErrRequant;
    return ErrNone;
  endfunction

  function automatic error_e pool_error();
    if (lanes_bad()) return ErrLane;
    if (elements_bad()) return ErrCount;
    if (run_kind == RunPool && dst_bad()) return ErrDestination;
    return ErrNone;
  endfunction

  always_comb begin
    start_error = ErrNone;
    if (counted) begin
      if (gathers)                    start_error = gather_error();
      else if (pooling)               start_error = pool_error();
      else if (run_kind == RunMap)    start_error = map_error();
      else                            start_error = run_error();
    end
  end

  logic start;
  assign start           = counted & (start_error == ErrNone) & (error_q == ErrNone);
  assign gather_start_o  = start & gathers;
  assign gather_single_o = op == OpGatherLane;
  assign gather_lane_o   = funct3;
  assign run_start_o     = start & ~gathers & ~pooling;
  assign map_o           = run_kind == RunMap;
  assign pool_start_o    = start & ~gathers & pooling;
  assign pool_keep_o     = run_kind == RunPoolKeep;

  function automatic logic fits();
    if (cmd_inputs_1_i[31:5] != '0) return 1'b0;
    unique case (index)
      RegConfig:              return value[31:15] == '0;
      RegK, RegLen:           return value[31:17] == '0;
      RegLanesOn:             return value[31:3] == '0;
      RegRows, RegCols, RegN: return value[31:16] == '0;
      RegShift:               return value[31:6] == '0;
      RegWidth, RegHeight, RegM0, RegM1, RegM2, RegM3: return ~value[31];
      RegSrcBase, RegRowStride, RegColStride, RegLaneStep, RegY, RegDstBase, RegDstStride, RegError, RegOps, RegBusy,
      RegStall:               return 1'b1;
      default:                return 1'b0;
    endcase
  endfunction

  always_comb begin
    store = 1'b0;
    if (set) store = fits();
  end

  always_comb begin
    error_d = error_q;
    if (error_q == ErrNone) begin
      if (error_i != ErrNone) error_d = error_i;
      else if (fire) begin
        if (!legal)                                   error_d = ErrEncoding;
        else if (set && !store)                        error_d = ErrRegister;
        else if (counted)                             error_d = start_error;
        else if (op == OpGet && funct3[0])            error_d = peek_error;
      end
    end
    if (store && index == RegError)  error_d = ErrNone;
    if (fire && legal && op == OpReset)    error_d = ErrNone;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      error_q <= ErrNone;
      ops_q   <= '0;
      busy_q  <= '0;
      stall_q <= '0;
    end else begin
      error_q <= error_d;
      if (counted) ops_q   <= ops_q + 32'd1;
      if (busy_i)  busy_q  <= busy_q + 32'd1;
      if (stall_i) stall_q <= stall_q + 32'd1;
      if (store) begin
        if (index == RegOps)   ops_q   <= value;
        if (index == RegBusy)  busy_q  <= value;
        if (index == RegStall) stall_q <= value;
      end
      if (fire && legal && op == OpReset) begin
        ops_q   <= '0;
        busy_q  <= '0;
        stall_q <= '0;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      config_q     <= '0;
      k_o          <= '0;
      lanes_on_o   <= 3'd1;
      src_base_o   <= '0;
      rows_o       <= 16'd1;
      cols_o       <= 16'd1;
      len_o        <= '0;
      row_stride_o <= '0;
      col_stride_o <= '0;
      lane_step_o  <= '0;
      y_o          <= '0;
      width_o      <= '0;
      height_o     <= '0;
      dst_base_o   <= '0;
      dst_stride_o <= '0;
      n_o          <= 16'd1;
      m_o          <= '{default: '0};
      shift_o      <= '0;
    end else if (fire && legal && op == OpReset) begin
      config_q     <= '0;
      k_o          <= '0;
      lanes_on_o   <= 3'd1;
      src_base_o   <= '0;
      rows_o       <= 16'd1;
      cols_o       <= 16'd1;
      len_o        <= '0;
      row_stride_o <= '0;
      col_stride_o <= '0;
      lane_step_o  <= '0;
      y_o          <= '0;
      width_o      <= '0;
      height_o     <= '0;
      dst_base_o   <= '0;
      dst_stride_o <= '0;
      n_o          <= 16'd1;
      m_o          <= '{default: '0};
      shift_o      <= '0;
    end else if (store) begin
      unique case (index)
        RegConfig:    config_q     <= config_t'(value[14:0]);
        RegK:         k_o          <= value[16:0];
        RegLanesOn:   lanes_on_o   <= value[2:0];
        RegSrcBase:   src_base_o   <= value;
        RegRows:      rows_o       <= value[15:0];
        RegCols:      cols_o       <= value[15:0];
        RegLen:       len_o        <= value[16:0];
        RegRowStride: row_stride_o <= value;
        RegColStride: col_stride_o <= value;
        RegLaneStep:  lane_step_o  <= value;
        RegY:         y_o          <= value;
        RegWidth:     width_o      <= value[30:0];
        RegHeight:    height_o     <= value[30:0];
        RegDstBase:   dst_base_o   <= value;
        RegDstStride: dst_stride_o <= value;
        RegN:         n_o          <= value[15:0];
        RegM0:        m_o[0]       <= value[30:0];
        RegM1:        m_o[1]       <= value[30:0];
        RegM2:        m_o[2]       <= value[30:0];
        RegM3:        m_o[3]       <= value[30:0];
        RegShift:     shift_o      <= value[5:0];
        default: ;
      endcase
    end
  end
  assign config_o = config_q;

  // Answers
  assign status = {16'b0, 4'b0, error_q, 6'b0, error_q != ErrNone, busy_i};

  function automatic logic [31:0] register_value();
    if (cmd_inputs_1_i[31:5] != '0) return '0;
    unique case (index)
      RegConfig:    return 32'(config_q);
      RegK:         return 32'(k_o);
      RegLanesOn:   return 32'(lanes_on_o);
      RegSrcBase:   return src_base_o;
      RegRows:      return 32'(rows_o);
      RegCols:      return 32'(cols_o);
      RegLen:       return 32'(len_o);
      RegRowStride: return row_stride_o;
      RegColStride: return col_stride_o;
      RegLaneStep:  return lane_step_o;
      RegY:         return y_o;
      RegWidth:     return 32'(width_o);
      RegHeight:    return 32'(height_o);
      RegDstBase:   return dst_base_o;
      RegDstStride: return dst_stride_o;
      RegN:         return 32'(n_o);
      RegStatus:    return status;
      RegError:     return 32'(error_q);
      RegOps:       return ops_q;
      RegBusy:      return busy_q;
      RegStall:     return stall_q;
      RegM0:        return 32'(m_o[0]);
      RegM1:        return 32'(m_o[1]);
      RegM2:        return 32'(m_o[2]);
      RegM3:        return 32'(m_o[3]);
      RegShift:     return 32'(shift_o);
      RegInfo:      return {16'(BufWords), 8'(Lanes), 8'd2};
      default:      return '0;
    endcase
  endfunction

  function automatic logic [31:0] peek_value();
    logic [31:0] word;
    word = '0;
    for (int unsigned i = 0; i < Lanes; i++) begin
      if (cmd_inputs_1_i[2:0] == 3'(i)) word = peek_data_i[i];
    end
    return peek_error != ErrNone ? '0 : word;
  endfunction

  always_comb begin
    rsp_outputs_0_o = '0;
    if (cmd_valid_i && legal) begin
      unique case (op)
        OpGet: begin
          if (funct3[0]) rsp_outputs_0_o = peek_value();
          else           rsp_outputs_0_o = register_value();
        end
        OpGather, OpGatherLane, OpRun: rsp_outputs_0_o = ops_q + 32'd1;
        OpWait:                        rsp_outputs_0_o = status;
        default:                       rsp_outputs_0_o = '0;
      endcase
    end
  end

endmodule
