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
  logic        legal, idle, ready, fire, set, fits, peek_q, peek_hit;
  logic [$clog2(BufWords)-1:0] peek_word_q;
  logic [31:0] value, status, ops_q, busy_q, stall_q;
  error_e      error_q, error_d, gather_error, run_error, start_error, peek_error;
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

  // Checks of settings before an operation starts
  localparam int unsigned BufBits = 32 * BufWords;
  logic       gathers;
  logic [4:0] dst_low, out_mask;
  logic       lanes_bad, elements_bad, dst_bad, requant_bad, pooling;
  assign gathers   = (op == OpGather) | (op == OpGatherLane);
  assign lanes_bad = lanes_on_o == 3'd0 || 32'(lanes_on_o) > Lanes;
  assign dst_low   = cmd_inputs_1_i[4:0] + {dst_base_o[1:0], 3'b0};
  assign pooling   = (run_kind == RunPool) | (run_kind == RunPoolKeep);
  assign dst_bad   = (dst_low & out_mask) != '0;
  // value is the number of elements of POOL and MAP
  assign elements_bad = value == '0 || value[31:17] != '0 || (20'(value[16:0]) << (2'd3 - config_q.a)) > 20'(BufBits);
  always_comb begin
    out_mask = 5'd31;
    if (pooling)                        out_mask = 5'(5'd7 >> config_q.a);
    else if (config_q.out == OutPack)   out_mask = 5'(5'd7 >> config_q.o);
  end
  always_comb begin
    requant_bad = shift_o == 6'd0 || shift_o == 6'd63;
    for (int unsigned i = 0; i < 4; i++) if (3'(i) < lanes_on_o && m_o[i] == '0) requant_bad = 1'b1;
  end

  always_comb begin
    gather_error = ErrNone;
    if (lanes_bad || (op == OpGatherLane && 32'(funct3) >= Lanes)) gather_error = ErrLane;
    else if (rows_o == '0 || cols_o == '0 || len_o == '0 || (len_o[16] && len_o[15:0] != '0)) gather_error = ErrCount;

    run_error = ErrNone;
    if (config_q.out == OutIllegal)                              run_error = ErrConfig;
    else if (lanes_bad)                                          run_error = ErrLane;
    else if (k_o == '0 || n_o == '0 || (20'(k_o) << (2'd3 - config_q.a)) > 20'(BufBits)) run_error = ErrCount;
    else if (value[1:0] != '0)                                   run_error = ErrWeights;
    else if (dst_bad || (lanes_on_o != 3'd1 && (dst_stride_o[4:0] & out_mask) != '0)) begin
      run_error = ErrDestination;
    end
    if (run_kind == RunMap) begin
      run_error = ErrNone;
      if (config_q.out == OutInt32 || config_q.out == OutIllegal) run_error = ErrConfig;
      else if (lanes_bad)                                         run_error = ErrLane;
      else if (elements_bad || k_o == '0)                         run_error = ErrCount;
      else if (dst_bad)                                           run_error = ErrDestination;
      else if (requant_bad)                                       run_error = ErrRequant;
    end
    if (pooling) begin
      run_error = ErrNone;
      if (lanes_bad)                               run_error = ErrLane;
      else if (elements_bad)                       run_error = ErrCount;
      else if (dst_bad && run_kind == RunPool)     run_error = ErrDestination;
    end
    start_error = gathers ? gather_error : run_error;
  end

  logic counted;
  assign counted         = fire & legal & (gathers | (op == OpRun));
  assign gather_start_o  = counted & gathers & (gather_error == ErrNone) & (error_q == ErrNone);
  assign gather_single_o = op == OpGatherLane;
  assign gather_lane_o   = funct3;
  assign run_start_o     = counted & (op == OpRun) & ~pooling & (run_error == ErrNone) & (error_q == ErrNone);
  assign map_o           = run_kind == RunMap;
  assign pool_start_o    = counted & (op == OpRun) & pooling & (run_error == ErrNone) & (error_q == ErrNone);
  assign pool_keep_o     = run_kind == RunPoolKeep;

  always_comb begin
    unique case (index)
      RegConfig:              fits = value[31:15] == '0;
      RegK, RegLen:           fits = value[31:17] == '0;
      RegLanesOn:             fits = value[31:3] == '0;
      RegRows, RegCols, RegN: fits = value[31:16] == '0;
      RegShift:               fits = value[31:6] == '0;
      RegWidth, RegHeight, RegM0, RegM1, RegM2, RegM3: fits = ~value[31];
      RegSrcBase, RegRowStride, RegColStride, RegLaneStep, RegY, RegDstBase, RegDstStride, RegError, RegOps, RegBusy,
      RegStall:               fits = 1'b1;
      default:                fits = 1'b0;
    endcase
    if (cmd_inputs_1_i[31:5] != '0) fits = 1'b0;
  end

  always_comb begin
    error_d = error_q;
    if (error_q == ErrNone) begin
      if (error_i != ErrNone) error_d = error_i;
      else if (fire) begin
        if (!legal)                                   error_d = ErrEncoding;
        else if (set && !fits)                        error_d = ErrRegister;
        else if (counted)                             error_d = start_error;
        else if (op == OpGet && funct3[0])            error_d = peek_error;
      end
    end
    if (set && fits && index == RegError)  error_d = ErrNone;
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
      if (set && fits) begin
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
    end else if (set && fits) begin
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
  logic [31:0] get, peek;
  assign status = {16'b0, 4'b0, error_q, 6'b0, error_q != ErrNone, busy_i};

  always_comb begin
    get = '0;
    unique case (index)
      RegConfig:    get = 32'(config_q);
      RegK:         get = 32'(k_o);
      RegLanesOn:   get = 32'(lanes_on_o);
      RegSrcBase:   get = src_base_o;
      RegRows:      get = 32'(rows_o);
      RegCols:      get = 32'(cols_o);
      RegLen:       get = 32'(len_o);
      RegRowStride: get = row_stride_o;
      RegColStride: get = col_stride_o;
      RegLaneStep:  get = lane_step_o;
      RegY:         get = y_o;
      RegWidth:     get = 32'(width_o);
      RegHeight:    get = 32'(height_o);
      RegDstBase:   get = dst_base_o;
      RegDstStride: get = dst_stride_o;
      RegN:         get = 32'(n_o);
      RegStatus:    get = status;
      RegError:     get = 32'(error_q);
      RegOps:       get = ops_q;
      RegBusy:      get = busy_q;
      RegStall:     get = stall_q;
      RegM0:        get = 32'(m_o[0]);
      RegM1:        get = 32'(m_o[1]);
      RegM2:        get = 32'(m_o[2]);
      RegM3:        get = 32'(m_o[3]);
      RegShift:     get = 32'(shift_o);
      RegInfo:      get = {16'(BufWords), 8'(Lanes), 8'd2};
      default:      get = '0;
    endcase
    if (cmd_inputs_1_i[31:5] != '0) get = '0;
  end

  always_comb begin
    peek = '0;
    for (int unsigned i = 0; i < Lanes; i++) begin
      if (cmd_inputs_1_i[2:0] == 3'(i)) peek = peek_data_i[i];
    end
    if (peek_error != ErrNone) peek = '0;
  end

  always_comb begin
    rsp_outputs_0_o = '0;
    if (cmd_valid_i && legal) begin
      unique case (op)
        OpGet:                         rsp_outputs_0_o = funct3[0] ? peek : get;
        OpGather, OpGatherLane, OpRun: rsp_outputs_0_o = ops_q + 32'd1;
        OpWait:                        rsp_outputs_0_o = status;
        default:                       rsp_outputs_0_o = '0;
      endcase
    end
  end

endmodule
