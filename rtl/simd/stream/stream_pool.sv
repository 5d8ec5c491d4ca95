// POOL: element-wise maximum of the lanes' words, one word a cycle, to memory at any bit or back into lane 0.
// Stages: 0 puts up the buffers' row; 1 takes the maximum of lane pairs; 2 of the pairs; 3 shifts and hands out.
module stream_pool
  import stream_pkg::*;
#(
  parameter int unsigned Lanes    = 4,
  parameter int unsigned BufWords = 2048
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,

  input  logic                        start_i,
  input  logic                        keep_i,            // the result goes to lane 0's buffer
  input  logic [16:0]                 elements_i,
  input  logic [34:0]                 origin_i,          // bit address of the first result, a multiple of its bits
  input  logic                        abort_i,
  output logic                        busy_o,

  input  width_e                      a_i,
  input  logic                        a_unsigned_i,
  input  logic                        tail_zero_i,
  input  logic [2:0]                  lanes_on_i,

  output logic                        read_o,            // stage 0: read the buffers' row
  output logic [$clog2(BufWords)-3:0] row_o,
  output logic [1:0]                  bank_o,            // stage 1: the word of that row
  input  logic [31:0]                 words_i [Lanes],   // stage 1

  output logic                        buf_we_o,
  output logic [$clog2(BufWords)-1:0] buf_word_o,
  output logic [31:0]                 buf_data_o,

  output logic                        wr_valid_o,
  input  logic                        wr_ready_i,
  output logic [29:0]                 wr_addr_o,
  output logic [31:0]                 wr_data_o,
  output logic [31:0]                 wr_mask_o,
  output logic                        wr_partial_o
);

  localparam int unsigned WordW = $clog2(BufWords);

  // Maximum of unsigned elements. The lower bits decide where the upper are equal.
  function automatic logic [31:0] max(logic [31:0] a, logic [31:0] b, width_e width);
    logic [31:0] above1, equal1, select;
    logic [15:0] above2, equal2;
    logic [7:0]  above4, equal4;
    logic [3:0]  above8;
    above1 = a & ~b;
    equal1 = ~(a ^ b);
    for (int i = 0; i < 16; i++) begin
      above2[i] = above1[2*i+1] | (equal1[2*i+1] & above1[2*i]);
      equal2[i] = equal1[2*i+1] & equal1[2*i];
    end
    for (int i = 0; i < 8; i++) begin
      above4[i] = above2[2*i+1] | (equal2[2*i+1] & above2[2*i]);
      equal4[i] = equal2[2*i+1] & equal2[2*i];
    end
    for (int i = 0; i < 4; i++) above8[i] = above4[2*i+1] | (equal4[2*i+1] & above4[2*i]);
    for (int i = 0; i < 32; i++) begin
      unique case (width)
        Width8:  select[i] = above8[i/8];
        Width4:  select[i] = above4[i/4];
        Width2:  select[i] = above2[i/2];
        default: select[i] = above1[i];
      endcase
    end
    return (a & select) | (b & ~select);
  endfunction

  logic             busy_q, keep_q, reading_q, advance;
  logic [20:0]      left_q;                              // bits to read
  logic [WordW-1:0] read_q, written_q;
  logic [1:0]       bank_q;
  logic [3:1]       valid_q, last_q;
  logic [5:0]       tail_q;                              // bits of the last word, 1..32
  logic [31:0]      sign, word [4], pair_q [2], result_q, over_q, cut;
  logic [29:0]      addr_q;
  logic [4:0]       low_q;                               // where in a word of memory the results begin
  logic             first_q, flush_q;                    // what ran over the last word is still to be written
  logic             reads_last;
  logic [31:0]      turned, below, over;
  logic [6:0]       end_bit;                             // of the last word, from the word's own begin
  logic [5:0]       finish;
  logic             runs_over, ends;

  assign reads_last = left_q <= 21'd32;
  assign read_o     = reading_q & advance;
  assign row_o      = read_q[WordW-1:2];
  assign bank_o     = bank_q;

  // Signed elements are compared with their top bit inverted; in that order 0 is the least, which lanes not in use have.
  assign sign = min_pattern(a_i, a_unsigned_i);
  always_comb begin
    for (int unsigned i = 0; i < 4; i++) word[i] = '0;
    for (int unsigned i = 0; i < Lanes; i++) begin
      if (3'(i) < lanes_on_i) word[i] = words_i[i] ^ sign;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      keep_q    <= keep_i;
      left_q    <= 21'(elements_i) << (2'd3 - a_i);
      read_q    <= '0;
      written_q <= '0;
      addr_q    <= origin_i[34:5];
      low_q     <= keep_i ? 5'd0 : origin_i[4:0];
      first_q   <= 1'b1;
    end else if (advance) begin
      if (reading_q) begin
        read_q <= read_q + WordW'(1);
        left_q <= left_q - 21'd32;
        bank_q <= read_q[1:0];
        if (reads_last) tail_q <= left_q[5:0];
      end
      if (valid_q[1]) pair_q <= '{max(word[0], word[1], a_i), max(word[2], word[3], a_i)};
      if (valid_q[2]) result_q <= max(pair_q[0], pair_q[1], a_i) ^ sign;
      if (valid_q[3] || flush_q) begin
        written_q <= written_q + WordW'(1);
        addr_q    <= addr_q + 30'd1;
        first_q   <= 1'b0;
        over_q    <= over;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q    <= 1'b0;
      reading_q <= 1'b0;
      valid_q   <= '0;
      last_q    <= '0;
      flush_q   <= 1'b0;
    end else if (start_i) begin
      busy_q    <= 1'b1;
      reading_q <= 1'b1;
      valid_q   <= '0;
      last_q    <= '0;
      flush_q   <= 1'b0;
    end else if (abort_i) begin
      busy_q    <= 1'b0;
      reading_q <= 1'b0;
      valid_q   <= '0;
      flush_q   <= 1'b0;
    end else if (advance) begin
      if (reads_last) reading_q <= 1'b0;
      valid_q <= {valid_q[2:1], reading_q};
      last_q  <= {last_q[2:1], reads_last};
      flush_q <= valid_q[3] & last_q[3] & runs_over;
      if (flush_q || (valid_q[3] && last_q[3] && !runs_over)) busy_q <= 1'b0;
    end
  end
  assign busy_o = busy_q;

  // Stage 3
  assign cut       = result_q & (last_q[3] ? low_bits(tail_q) : '1);
  assign turned    = (cut << low_q) | (cut >> (6'd32 - {1'b0, low_q}));
  assign below     = low_bits({1'b0, low_q});
  assign over      = turned & below;                     // belongs to the next word
  assign end_bit   = 7'(low_q) + 7'(tail_q);
  assign runs_over = end_bit > 7'd32;
  assign ends      = flush_q | (last_q[3] & ~runs_over);
  always_comb begin
    finish = 6'd32;
    if (ends) begin
      finish = flush_q ? {1'b0, end_bit[4:0]} : end_bit[5:0];
      if (tail_zero_i) finish = (finish + 6'd7) & 6'h38;
    end
  end

  assign buf_we_o   = valid_q[3] & keep_q;
  assign buf_word_o = written_q;
  assign buf_data_o = cut;

  assign wr_valid_o   = (valid_q[3] | flush_q) & ~keep_q;
  assign wr_addr_o    = addr_q;
  assign wr_data_o    = (first_q ? '0 : over_q) | (flush_q ? '0 : turned & ~below);
  assign wr_mask_o    = low_bits(finish) & ~(first_q ? below : '0);
  assign wr_partial_o = (first_q & (low_q[2:0] != '0)) | (finish[2:0] != '0);
  assign advance      = ~wr_valid_o | wr_ready_i;

endmodule
