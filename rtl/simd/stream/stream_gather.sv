// GATHER: walks the windows of the lanes through memory and writes them as dense bit strings into the lane buffers.
// The walker cuts a run into chunks that lie in one memory word or in the padding; the chunks queue up beside the words
// read for them; the concatenator joins them at bit granularity, up to one buffer word a cycle.
module stream_gather
  import stream_pkg::*;
#(
  parameter int unsigned BufWords  = 2048,
  parameter int unsigned FifoDepth = 16             // chunks, power of two
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        start_i,
  input  logic        single_i,                     // one lane, lane_i, at the origin itself
  input  logic [2:0]  lane_i,
  input  logic [31:0] offset_i,                     // signed bits from src_base_i
  input  logic [31:0] x_i,                          // signed bits
  output logic        busy_o,
  output error_e      error_o,

  input  logic        expand_i,
  input  logic [31:0] padding_i,                    // a word of padding, the same at every element
  input  logic [2:0]  lanes_on_i,
  input  logic [31:0] src_base_i,
  input  logic [15:0] rows_i,
  input  logic [15:0] cols_i,
  input  logic [16:0] len_i,
  input  logic [31:0] row_stride_i,
  input  logic [31:0] col_stride_i,
  input  logic [31:0] lane_step_i,
  input  logic [31:0] y_i,
  input  logic [30:0] width_i,
  input  logic [30:0] height_i,

  output logic        rd_valid_o,
  input  logic        rd_ready_i,
  input  logic        rd_bad_i,
  output logic [29:0] rd_addr_o,
  input  logic        data_valid_i,
  input  logic [31:0] data_i,
  output logic        data_pop_o,
  input  logic        port_idle_i,

  output logic                        buf_we_o,
  output logic [2:0]                  buf_lane_o,
  output logic [$clog2(BufWords)-1:0] buf_word_o,
  output logic [31:0]                 buf_data_o
);

  localparam int unsigned PtrW  = $clog2(FifoDepth);
  localparam int unsigned WordW = $clog2(BufWords);

  typedef struct packed {
    logic       zero;   // padding: no word was read
    logic       last;   // of its lane
    logic [4:0] low;    // first bit in the word
    logic [5:0] count;  // bits, 1..32
  } chunk_t;

  typedef enum logic [1:0] {
    Idle,
    Walk,
    Finish,  // the walker is done, the concatenator is not
    Abort    // an error: let the reads in flight come in and drop them
  } state_e;

  state_e state_q, state_d;

  // Walker: position, and where the run, the row and the lane began
  logic [34:0] addr_q, col_addr_q, row_addr_q, lane_addr_q, base_addr, next_addr;
  logic [31:0] x_q, col_x_q, lane_x_q, base_x, step, next_x, y_q, next_y;
  logic [31:0] rest_q, col_rest_q, lane_rest_q, base_rest, next_rest;   // WIDTH - x, for each x
  logic [16:0] left_q;
  logic [15:0] i_left_q, j_left_q;                  // rows, and runs of the row, to come with this one
  logic [2:0]  lane_q;
  logic        single_q, outside_q, last_col, last_row, last_lane, walking, advance, run_end, lane_end;

  logic [5:0]  to_edge, to_word, to_end, count;
  logic        end_first, padding;
  chunk_t      chunk_in, chunk;

  function automatic logic outside(logic [31:0] row, logic [30:0] height);
    return row[31] || row[30:0] >= height;
  endfunction

  // a <= b, from the lowest bit up: in gates, which are faster than a carry chain of six bits.
  function automatic logic at_most(logic [5:0] a, logic [5:0] b);
    logic more;
    more = 1'b0;
    for (int i = 0; i < 6; i++) more = (a[i] & ~b[i]) | ((a[i] | ~b[i]) & more);
    return ~more;
  endfunction

  assign walking = state_q == Walk;
  always_comb begin
    padding = 1'b1;
    to_edge = 6'd32;
    to_word = 6'd32;
    if (!outside_q && x_q[31]) begin
      if (&x_q[31:5] && x_q[4:0] != '0) to_edge = {1'b0, -x_q[4:0]};
    end else if (!outside_q && !rest_q[31] && rest_q != '0) begin
      padding = 1'b0;
      to_word = 6'd32 - {1'b0, addr_q[4:0]};
      if (rest_q[31:5] == '0) to_edge = {1'b0, rest_q[4:0]};
    end
    to_end    = left_q[16:5] == '0 ? {1'b0, left_q[4:0]} : 6'd32;
    end_first = at_most(to_end, to_edge) && at_most(to_end, to_word);
    count     = end_first ? to_end : at_most(to_edge, to_word) ? to_edge : to_word;
  end

  assign last_col  = j_left_q == 16'd1;
  assign last_row  = i_left_q == 16'd1;
  assign last_lane = single_q | (lane_q == lanes_on_i - 3'd1);
  assign run_end   = end_first & (left_q[16:5] == '0 || (left_q[16:6] == '0 && left_q[4:0] == '0));
  assign lane_end  = run_end & last_col & last_row;

  logic        full;
  logic [PtrW:0] chunks_q;
  assign full       = chunks_q[PtrW];
  assign rd_valid_o = walking & ~padding & ~full;
  assign rd_addr_o  = addr_q[34:5];
  assign advance    = walking & ~full & (padding | rd_ready_i);
  assign chunk_in   = '{zero: padding, last: lane_end, low: addr_q[4:0], count: count};

  // Where the next run begins
  always_comb begin
    base_addr = col_addr_q;
    base_x    = col_x_q;
    base_rest = col_rest_q;
    step      = col_stride_i;
    if (last_col) begin
      base_addr = last_row ? lane_addr_q : row_addr_q;
      base_x    = lane_x_q;
      base_rest = lane_rest_q;
      step      = last_row ? lane_step_i : row_stride_i;
    end
    next_addr = base_addr + 35'($signed(step));
    next_x    = last_col & ~last_row ? base_x : base_x + step;
    next_rest = last_col & ~last_row ? base_rest : base_rest - step;
    next_y    = start_i | last_row ? y_i : y_q + 32'd1;
  end

  logic [34:0] origin;
  logic [31:0] origin_rest;
  assign origin_rest = {1'b0, width_i} - x_i;
  assign origin = {src_base_i, 3'b000} + 35'($signed(offset_i));

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      addr_q      <= origin;
      col_addr_q  <= origin;
      row_addr_q  <= origin;
      lane_addr_q <= origin;
      x_q         <= x_i;
      col_x_q     <= x_i;
      lane_x_q    <= x_i;
      rest_q      <= origin_rest;
      col_rest_q  <= origin_rest;
      lane_rest_q <= origin_rest;
      y_q         <= next_y;
      outside_q   <= outside(next_y, height_i);
      left_q      <= len_i;
      i_left_q    <= rows_i;
      j_left_q    <= cols_i;
      lane_q      <= single_i ? lane_i : 3'd0;
      single_q    <= single_i;
    end else if (advance) begin
      addr_q <= addr_q + 35'(count);
      x_q    <= x_q + 32'(count);
      rest_q <= rest_q - 32'(count);
      left_q <= left_q - 17'(count);
      if (run_end) begin
        addr_q     <= next_addr;
        col_addr_q <= next_addr;
        x_q        <= next_x;
        col_x_q    <= next_x;
        rest_q     <= next_rest;
        col_rest_q <= next_rest;
        left_q     <= len_i;
        j_left_q   <= j_left_q - 16'd1;
        if (last_col) begin
          j_left_q   <= cols_i;
          i_left_q   <= i_left_q - 16'd1;
          y_q        <= next_y;
          outside_q  <= outside(next_y, height_i);
          row_addr_q <= next_addr;
          if (last_row) begin
            i_left_q    <= rows_i;
            lane_addr_q <= next_addr;
            lane_x_q    <= next_x;
            lane_rest_q <= next_rest;
            lane_q      <= lane_q + 3'd1;
          end
        end
      end
    end
  end

  // Chunks in flight
  chunk_t          chunks [FifoDepth];
  logic [PtrW-1:0] head_q, tail_q;
  logic            pop;
  assign chunk = chunks[head_q];
  always_ff @(posedge clk_i) if (advance) chunks[tail_q] <= chunk_in;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q   <= '0;
      tail_q   <= '0;
      chunks_q <= '0;
    end else if (state_q == Idle || state_q == Abort) begin
      head_q   <= '0;
      tail_q   <= '0;
      chunks_q <= '0;
    end else begin
      if (advance) tail_q <= tail_q + PtrW'(1);
      if (pop)     head_q <= head_q + PtrW'(1);
      chunks_q <= chunks_q + (PtrW+1)'(advance) - (PtrW+1)'(pop);
    end
  end

  // Concatenator: the chunk, rotated to where it belongs, fills the current word; what runs over starts the next.
  logic [31:0] current_q, rotated, filled, over;
  logic [4:0]  fill_q, turn;
  logic [5:0]  fill_end;
  logic        over_last_q, emit, emit_last;
  logic [31:0] word_q;                              // a complete word on its way into the buffer
  logic        word_valid_q, word_last_q, word_ready, second_q;
  logic [2:0]  out_lane_q;
  logic [WordW:0] out_word_q;
  logic        chunk_ready;

  assign turn     = fill_q - chunk.low;
  assign fill_end = {1'b0, fill_q} + chunk.count;
  assign rotated  = chunk.zero ? padding_i : (data_i << turn) | (data_i >> (6'd32 - {1'b0, turn}));
  always_comb begin
    filled = current_q | (rotated & low_bits(fill_end[5] ? 6'd32 : fill_end) & ~low_bits({1'b0, fill_q}));
    over   = rotated & low_bits({1'b0, fill_end[4:0]});
  end

  assign word_ready  = ~word_valid_q | ~expand_i | second_q;
  assign chunk_ready = (chunks_q != '0) & (chunk.zero | data_valid_i) & ~over_last_q & word_ready & (state_q != Abort);
  assign pop         = chunk_ready;
  assign data_pop_o  = state_q == Abort ? data_valid_i : chunk_ready & ~chunk.zero;
  assign emit_last   = over_last_q | (chunk.last & (fill_end <= 6'd32));
  assign emit        = over_last_q ? word_ready : chunk_ready & (fill_end[5] | chunk.last);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fill_q       <= '0;
      over_last_q  <= 1'b0;
      word_valid_q <= 1'b0;
      second_q     <= 1'b0;
      current_q    <= '0;
    end else if (state_q == Idle || state_q == Abort) begin
      fill_q       <= '0;
      over_last_q  <= 1'b0;
      word_valid_q <= 1'b0;
      second_q     <= 1'b0;
      current_q    <= '0;
    end else begin
      if (emit) word_valid_q <= 1'b1;
      else if (word_ready) word_valid_q <= 1'b0;
      if (word_valid_q && expand_i) second_q <= ~second_q;
      if (over_last_q) begin
        if (word_ready) begin
          over_last_q <= 1'b0;
          current_q   <= '0;
          fill_q      <= '0;
        end
      end else if (chunk_ready) begin
        current_q <= fill_end[5] ? over : filled;
        fill_q    <= fill_end[4:0];
        if (chunk.last) begin
          over_last_q <= fill_end > 6'd32;
          if (fill_end <= 6'd32) begin
            current_q <= '0;
            fill_q    <= '0;
          end
        end
      end
    end
  end

  // Padding of an expanded word: which of its bits are data. Only EXPAND needs it.
  logic [31:0] current_data_q, filled_data, over_data, span, word_data_q;
  assign span        = chunk.zero ? '0 : '1;
  assign filled_data = current_data_q | (span & low_bits(fill_end[5] ? 6'd32 : fill_end) & ~low_bits({1'b0, fill_q}));
  assign over_data   = span & low_bits({1'b0, fill_end[4:0]});
  always_ff @(posedge clk_i) begin
    if (expand_i) begin
      if (state_q == Idle || (over_last_q && word_ready) || (chunk_ready && chunk.last && fill_end <= 6'd32)) begin
        current_data_q <= '0;
      end else if (chunk_ready) begin
        current_data_q <= fill_end[5] ? over_data : filled_data;
      end
      if (emit) word_data_q <= over_last_q ? current_data_q : filled_data;
    end
  end

  logic        word_half;                           // the last word of an expanded lane has one half only
  logic        half_q;
  always_ff @(posedge clk_i) begin
    if (emit) begin
      word_q      <= over_last_q ? current_q : filled;
      word_last_q <= emit_last;
      half_q      <= over_last_q ? ~(fill_q > 5'd16) : fill_end <= 6'd16;
    end
  end
  assign word_half = word_last_q & half_q;

  logic [15:0] expand_bits, expand_data;
  assign expand_bits = second_q ? word_q[31:16] : word_q[15:0];
  assign expand_data = second_q ? word_data_q[31:16] : word_data_q[15:0];

  logic writing, overflow;
  assign overflow   = out_word_q[WordW];
  assign writing    = word_valid_q & (state_q != Abort) & ~(second_q & word_half);
  assign buf_we_o   = writing & ~overflow;
  assign buf_lane_o = out_lane_q;
  assign buf_word_o = out_word_q[WordW-1:0];
  always_comb begin
    buf_data_o = word_q;
    if (expand_i) begin
      for (int i = 0; i < 16; i++) buf_data_o[2*i+:2] = {expand_bits[i], expand_data[i]};
    end
  end

  logic lane_done;
  assign lane_done = word_valid_q & word_last_q & word_ready;
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      out_word_q <= '0;
      out_lane_q <= single_i ? lane_i : 3'd0;
    end else if (lane_done) begin
      out_word_q <= '0;
      out_lane_q <= out_lane_q + 3'd1;
    end else if (buf_we_o) begin
      out_word_q <= out_word_q + (WordW+1)'(1);
    end
  end

  // Control
  always_comb begin
    state_d = state_q;
    error_o = ErrNone;
    unique case (state_q)
      Idle: if (start_i) state_d = Walk;
      Walk: if (advance && lane_end && last_lane) state_d = Finish;
      Finish: if (chunks_q == '0 && !over_last_q && !word_valid_q) state_d = Idle;
      Abort: if (port_idle_i) state_d = Idle;
      default: state_d = Idle;
    endcase
    if ((walking || state_q == Finish) && rd_bad_i) begin
      error_o = ErrSource;
      state_d = Abort;
    end
    if (writing && overflow) begin
      error_o = ErrBuffer;
      state_d = Abort;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) state_q <= Idle;
    else         state_q <= state_d;
  end

  assign busy_o = state_q != Idle;

endmodule
