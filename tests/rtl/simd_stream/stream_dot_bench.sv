// stream_dot, exhaustively: for every width pair and sign, every value of every element against every value of its weight, all
// other elements masked but holding random bits; then RANDOM steps a mode with random masks, a quarter of them of extreme values.
module stream_dot_bench
  import stream_pkg::*;
#(
  parameter int unsigned Random = 20000
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  output logic        done_o,
  output logic [31:0] checked_o,
  output logic [31:0] mismatches_o
);

  width_e             a_width, w_width;
  logic               a_unsigned;
  logic [127:0]       a;
  logic [31:0]        word, weights, mask;         // word: as in memory; weights: as the sequencer hands it on
  logic signed [18:0] dot;

  int unsigned  mode, element, random_left, elements, a_bits, w_bits;
  logic [16:0]  value;                             // {activation, weight} codes of the element under test
  logic         valid_q, half;
  logic [1:0]   pause;                             // cycles without a step
  int           expected, expected1_q, expected2_q, expected3_q; // of the inputs being made, at the unit twice, at its output
  logic         valid1_q, valid2_q, valid3_q;
  logic [127:0] a_q;
  logic [31:0]  weights_q, mask_q, weights1_q, mask1_q; // the unit takes them a cycle after the activations
  width_e       a_width_q, w_width_q;
  logic         a_unsigned_q;
  logic [31:0]  random_q;

  stream_dot u_dot (
    .clk_i,
    .select_i     (1'b1),
    .enable_i     (1'b1),
    .a_width_i    (a_width_q),
    .a_unsigned_i (a_unsigned_q),
    .w_width_i    (w_width_q),
    .a_i          (a_q),
    .weights_i    (weights1_q),
    .mask_i       (mask1_q),
    .dot_o        (dot)
  );

  function automatic logic [31:0] random();
    random_q ^= random_q << 13;
    random_q ^= random_q >> 17;
    random_q ^= random_q << 5;
    return random_q;
  endfunction

  // The value of a code of so many bits
  function automatic int value_of(logic [7:0] code, int unsigned bits, logic is_unsigned);
    if (is_unsigned) return int'(code);
    if (bits == 1) return code[0] ? -1 : 1;
    return code[bits-1] ? int'(code) - (1 << bits) : int'(code);
  endfunction

  function automatic int sum();
    int total = 0;
    for (int unsigned i = 0; i < elements; i++) begin
      if (mask[i]) begin
        total += value_of(8'(a >> (i * a_bits)) & 8'((1 << a_bits) - 1), a_bits, a_unsigned)
               * value_of(8'(word >> (i * w_bits)) & 8'((1 << w_bits) - 1), w_bits, 1'b0);
      end
    end
    return total;
  endfunction

  always @(posedge clk_i) begin
    if (!rst_ni) begin
      mode         = 0;
      element      = 0;
      value        = '0;
      random_left  = Random;
      random_q     = 32'h2545_F491;
      valid_q      = 1'b0;
      pause        = '0;
      valid1_q    <= 1'b0;
      valid2_q    <= 1'b0;
      valid3_q    <= 1'b0;
      done_o       = 1'b0;
      checked_o    = '0;
      mismatches_o = '0;
    end else if (!done_o) begin
      if (valid3_q) begin
        checked_o = checked_o + 1;
        if (32'(dot) != expected3_q) begin
          if (mismatches_o == 0) $display("mode %0d: %0d, not %0d", mode, dot, expected3_q);
          mismatches_o = mismatches_o + 1;
        end
      end
      // Between modes two steps are left out: the widths hold until the last result is out.
      valid_q    = mode < 32 && pause == '0;
      done_o     = mode == 32 && pause == '0 && !valid1_q && !valid2_q && !valid3_q;
      if (valid_q) begin
        a_width    = width_e'(mode[1:0]);
        w_width    = width_e'(mode[3:2]);
        a_unsigned = mode[4];
        a_bits     = 8 >> mode[1:0];
        w_bits     = 8 >> mode[3:2];
        elements   = w_bits > 1 ? 32 / w_bits : a_bits > 1 ? 16 : 32;
        a          = {random(), random(), random(), random()};
        word       = random();
        if (element < elements) begin
          mask = 32'd1 << element;
          a    = a & ~(128'((1 << a_bits) - 1) << (element * a_bits)) | (128'(value >> w_bits) << (element * a_bits));
          word = word & ~(32'((1 << w_bits) - 1) << (element * w_bits))
               | ((32'(value) & 32'((1 << w_bits) - 1)) << (element * w_bits));
          value = value + 17'd1;
          if (value == 17'(1 << (a_bits + w_bits))) begin
            value    = '0;
            element += 1;
          end
        end else begin
          mask = random_left[0] ? '1 : random();
          if (random_left[2:1] == 2'd0) begin
            // The least or the greatest signed or unsigned value everywhere
            unique case (random_q[9:8])
              2'd0:    a = '1;
              2'd1:    a = {16{a_bits == 8 ? 8'h80 : a_bits == 4 ? 8'h88 : a_bits == 2 ? 8'hAA : 8'hFF}};
              2'd2:    a = {16{a_bits == 8 ? 8'h7F : a_bits == 4 ? 8'h77 : a_bits == 2 ? 8'h55 : 8'h00}};
              default: a = '0;
            endcase
            word = {4{w_bits == 8 ? 8'h80 : w_bits == 4 ? 8'h88 : w_bits == 2 ? 8'hAA : 8'hFF}};
            if (random_q[10]) word = {4{w_bits == 8 ? 8'h7F : w_bits == 4 ? 8'h77 : w_bits == 2 ? 8'h55 : 8'h00}};
          end
          random_left -= 1;
          if (random_left == 0) begin
            random_left = Random;
            element     = 0;
            mode       += 1;
            pause       = 2'd2;
          end
        end
        // Elements beyond the step do not exist.
        if (elements < 32) mask = mask & ((32'd1 << elements) - 32'd1);
        expected = sum();
        half     = w_bits == 1 && a_bits > 1;
        weights  = word;
        if (half) begin
          for (int i = 0; i < 16; i++) weights[2*i+:2] = {word[i], 1'b1};
        end
        if (w_bits > 1 || half) begin
          for (int i = 0; i < 16; i++) if (!mask[w_bits == 8 ? i / 4 : w_bits == 4 ? i / 2 : i]) weights[2*i+:2] = '0;
        end
      end else if (pause != '0) begin
        pause = pause - 2'd1;
      end
      {a_q, weights_q, mask_q}               <= {a, weights, mask};
      {a_width_q, w_width_q, a_unsigned_q}   <= {a_width, w_width, a_unsigned};
      {weights1_q, mask1_q}                  <= {weights_q, mask_q};
      {valid1_q, valid2_q, valid3_q}         <= {valid_q, valid1_q, valid2_q};
      {expected1_q, expected2_q, expected3_q} <= {expected, expected1_q, expected2_q};
    end
  end

endmodule
