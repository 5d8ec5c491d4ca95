// RUN: fetches the weight stream, takes headers out of it, and sends steps through the lanes.
// MAP is a RUN without a stream: a row an element of the result, a step a term of its sum, under a weight of 1.
// A row's last step waits until there is a place for its results, so the lanes themselves never stall.
module stream_run
  import stream_pkg::*;
#(
  parameter int unsigned BufWords = 2048
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,

  input  logic                        start_i,
  input  logic                        map_i,           // at the start: MAP,
  input  logic [16:0]                 elements_i,      // of so many elements
  input  logic [29:0]                 addr_i,          // of the weight stream, in words
  input  logic                        abort_i,         // stop: an error further down
  output logic                        active_o,        // rows are still to be fetched or stepped, or steps are in the lanes
  output error_e                      error_o,
  output logic                        starving_o,      // a word is wanted and none is there
  output logic                        map_o,           // what is under way is a MAP
  output width_e                      w_o,             // width of weights_o

  input  out_e                        out_i,
  input  logic                        has_bias_i,      // OutInt32: rows start with a bias
  input  width_e                      w_i,
  input  width_e                      a_i,
  input  logic [16:0]                 k_i,
  input  logic [15:0]                 n_i,

  output logic                        rd_valid_o,
  input  logic                        rd_ready_i,
  input  logic                        rd_bad_i,
  output logic [29:0]                 rd_addr_o,
  input  logic                        data_valid_i,
  input  logic [31:0]                 data_i,
  output logic                        data_pop_o,

  output logic                        read_o,          // stage 0: read the buffers' row
  output logic                        row_sent_o,      // for the last step of a weight row
  output logic [$clog2(BufWords)-3:0] row_o,
  output logic                        select_o,        // stage 1
  output logic                        dot_o,           // stage 2
  output logic                        acc_o,           // stage 3
  output logic [4:0]                  part_o,          // stage 1: where in the 128-bit row the activations are, in units of 4 bits
  output logic [31:0]                 weights_o,       // stage 2: one-bit weights as 01 and 11 unless a = 1 too
  output logic [31:0]                 mask_o,          // stage 2: elements that count, for 1x1
  output logic                        first_o,         // stage 3: the row's first step, the sum starts from the bias
  output logic [31:0]                 bias_o,

  input  logic                        place_i,         // a row of results more can be taken, besides those in the lanes
  output logic                        result_o,        // stage 3 holds the last step of a row: the lanes' sums are its accumulators
  output logic                        result_last_o,   // of the RUN
  output header_t                     result_header_o
);

  // Fetch: N rows of header and weight words, one after the other
  logic [14:0] weight_words, row_words, fetch_word_q;
  logic [15:0] fetch_row_q;
  logic [29:0] fetch_addr_q;
  logic [1:0]  header_words;
  logic        fetching_q, fetched;

  assign header_words = out_i == OutInt32 ? {1'b0, has_bias_i} : 2'd3;
  assign weight_words = 15'(((20'(k_i) << (2'd3 - w_i)) + 20'd31) >> 5);
  assign row_words    = weight_words + 15'(header_words);
  assign rd_valid_o   = fetching_q;
  assign rd_addr_o    = fetch_addr_q;
  assign fetched      = fetching_q & rd_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) fetching_q <= 1'b0;
    else if (start_i) fetching_q <= ~map_i;
    else if (abort_i || rd_bad_i) fetching_q <= 1'b0;
    else if (fetched && fetch_word_q == 15'd1 && fetch_row_q == 16'd1) fetching_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      fetch_addr_q <= addr_i;
      fetch_word_q <= row_words;
      fetch_row_q  <= n_i;
    end else if (fetched) begin
      fetch_addr_q <= fetch_addr_q + 30'd1;
      fetch_word_q <= fetch_word_q - 15'd1;
      if (fetch_word_q == 15'd1) begin
        fetch_word_q <= row_words;
        fetch_row_q  <= fetch_row_q - 16'd1;
      end
    end
  end

  // Sequencer
  logic        stepping_q;                     // rows left
  logic [1:0]  header_q;                       // header words of this row taken
  logic [16:0] left_q;                         // elements of this row left
  logic [16:0] position_q;                     // RUN: the same
  logic        half_q, first_q;
  logic [16:0] rows_q;
  logic        map_q;
  logic [16:0] elements_q;                     // MAP: elements from one term to the next
  logic [16:0] element_q;                      // MAP: element of the result
  logic [17:0] index_q;                        // MAP: element of the buffers
  logic [$clog2(BufWords)+4:2] position;       // bit of the buffers where the step begins
  logic        beyond, word_valid;
  width_e      w;
  header_t     head_q;

  logic        binary, halves, in_header, step, last_step, pop;
  logic [5:0]  elements, row_step;             // of a step, and of one of a RUN that is no MAP
  logic        last_step_q, one_step;          // one_step: a whole row is
  logic [2:0]  size_log2;                      // bits of a step in the buffer, less 2: 4..128
  assign w         = map_q ? Width8 : w_i;
  assign binary    = (a_i == Width1) & (w == Width1);
  assign halves    = (w == Width1) & ~binary;
  assign elements  = map_q ? 6'd1 : row_step;
  assign row_step  = w_i != Width1 ? 6'd4 << w_i : a_i != Width1 ? 6'd16 : 6'd32;
  assign size_log2 = 3'(4'd3 + (w == Width1 ? (binary ? 4'd3 : 4'd2) : 4'(w)) - 4'(a_i));
  // A step of MAP takes the four elements around its own.
  assign position  = ($clog2(BufWords)+3)'(map_q ? index_q[16:2] << (2'd3 - a_i) : position_q[16:2]);
  assign beyond    = (21'(index_q) << (2'd3 - a_i)) >= 21'(32 * BufWords);

  assign in_header  = ~map_q & (header_q != header_words);
  assign word_valid = map_q ? ~beyond : data_valid_i;
  assign last_step  = last_step_q;             // left_q <= elements
  assign one_step   = k_i <= 17'((start_i ? map_i : map_q) ? 6'd1 : row_step);
  assign step       = stepping_q & ~in_header & word_valid & (~last_step | place_i) & ~abort_i;
  assign pop        = stepping_q & ~map_q & ~abort_i & data_valid_i & (in_header | (step & (~halves | half_q | last_step)));
  assign data_pop_o = pop;
  assign starving_o = stepping_q & ~map_q & ~data_valid_i;
  assign map_o      = map_q;
  assign w_o        = w;
  assign read_o     = step;
  assign row_sent_o = step & last_step;
  assign row_o      = position[$clog2(BufWords)+4:7];

  always_comb begin
    error_o = ErrNone;
    if (rd_bad_i) error_o = ErrWeights;
    if (stepping_q && map_q && beyond) error_o = ErrBuffer;
    if (stepping_q && in_header && data_valid_i) begin
      if (header_q == 2'd1 && (data_i[31] || data_i == '0))                   error_o = ErrRequant;
      if (header_q == 2'd2 && (data_i[7:0] == '0 || data_i[7:0] > 8'd62))     error_o = ErrRequant;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) stepping_q <= 1'b0;
    else if (start_i) stepping_q <= 1'b1;
    else if (abort_i || (step && last_step && rows_q == 17'd1)) stepping_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      // m = 2, s = 1: the identity, for INT32
      head_q      <= '{bias: '0, multiplier: 32'd2, shift: 6'd1};
      header_q    <= '0;
      left_q      <= k_i;
      last_step_q <= one_step;
      position_q  <= '0;
      half_q      <= 1'b0;
      first_q     <= 1'b1;
      rows_q      <= map_i ? elements_i : 17'(n_i);
      map_q       <= map_i;
      elements_q  <= elements_i;
      element_q   <= '0;
      index_q     <= '0;
    end else if (pop && in_header) begin
      header_q    <= header_q + 2'd1;
      if (header_q == 2'd0) head_q.bias       <= data_i;
      if (header_q == 2'd1) head_q.multiplier <= data_i;
      if (header_q == 2'd2) head_q.shift      <= data_i[5:0];
    end else if (step) begin
      left_q      <= left_q - 17'(elements);
      last_step_q <= left_q <= 17'({elements, 1'b0});
      position_q  <= position_q + (17'd4 << size_log2);
      half_q      <= halves & ~half_q;
      first_q     <= 1'b0;
      index_q     <= index_q + 18'(elements_q);
      if (last_step) begin
        header_q    <= '0;
        left_q      <= k_i;
        last_step_q <= one_step;
        position_q  <= '0;
        half_q      <= 1'b0;
        first_q     <= 1'b1;
        rows_q      <= rows_q - 17'd1;
        element_q   <= element_q + 17'd1;
        index_q     <= 18'(element_q) + 18'd1;
      end
    end
  end

  // Stages
  logic [15:0] half_word;
  logic [31:0] weights, mask;
  assign half_word = half_q ? data_i[31:16] : data_i[15:0];
  assign mask      = last_step ? low_bits(left_q[5:0]) : '1;
  always_comb begin
    weights = data_i;
    if (halves) begin
      for (int i = 0; i < 16; i++) weights[2*i+:2] = {half_word[i], 1'b1};
    end
    // Elements beyond the row, and those beside the one that MAP takes, weigh nothing; 1x1, which has no zero, takes the mask along.
    if (last_step && !binary) begin
      unique case (w)
        Width8:  for (int i = 0; i < 16; i++) if (!mask[i/4]) weights[2*i+:2] = '0;
        Width4:  for (int i = 0; i < 16; i++) if (!mask[i/2]) weights[2*i+:2] = '0;
        default: for (int i = 0; i < 16; i++) if (!mask[i])   weights[2*i+:2] = '0;
      endcase
    end
    if (map_q) weights = 32'd1 << {index_q[1:0], 3'b0};
  end

  logic [4:0]  part1_q;
  logic [31:0] weights1_q, weights2_q, mask1_q, mask2_q;
  logic [2:0]  valid_q, last_q, end_q;           // of stages 1..3: a step; the last of its row; and of the RUN
  logic        first1_q, first2_q, first3_q;
  header_t     head1_q, head2_q, head3_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else         valid_q <= abort_i ? '0 : {valid_q[1:0], step};
  end
  always_ff @(posedge clk_i) begin
    last_q <= {last_q[1:0], last_step};
    end_q  <= {end_q[1:0], last_step & (rows_q == 17'd1)};
    if (step) begin
      part1_q    <= position[6:2];
      weights1_q <= weights;
      mask1_q    <= mask;
      first1_q   <= first_q;
      head1_q    <= head_q;
    end
    if (valid_q[0]) begin
      weights2_q <= weights1_q;
      mask2_q    <= mask1_q;
      first2_q   <= first1_q;
      head2_q    <= head1_q;
    end
    if (valid_q[1]) begin
      first3_q <= first2_q;
      head3_q  <= head2_q;
    end
  end

  assign select_o        = valid_q[0];
  assign dot_o           = valid_q[1];
  assign acc_o           = valid_q[2];
  assign part_o          = part1_q;
  assign weights_o       = weights2_q;
  assign mask_o          = mask2_q;
  assign first_o         = first3_q;
  assign bias_o          = head3_q.bias;
  assign result_o        = valid_q[2] & last_q[2];
  assign result_last_o   = end_q[2];
  assign result_header_o = head3_q;
  assign active_o        = fetching_q | stepping_q | (valid_q != '0);

endmodule
