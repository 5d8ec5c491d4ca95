// What simd_unit must answer, written from the table of rtl/simd/README.md alone: element by element, integers of 32 bits,
// no lanes, no shared widening. For proofs; not meant to be built.
module simd_spec (
  input  logic [9:0]  function_id_i,
  input  logic [31:0] rs1_i,
  input  logic [31:0] rs2_i,
  output logic        legal_o,
  output logic [31:0] result_o
);

  // Value of the element of `bits` bits at bit `low` of a word: its top bit moved to bit 31, then back.
  function automatic [31:0] value(input [31:0] word, input [5:0] bits, input [5:0] low, input plain);
    reg signed [31:0] top;
    begin
      top = word << (6'd32 - bits - low);
      if (plain)             value = $unsigned(top) >> (6'd32 - bits);
      else if (bits == 6'd1) value = {{31{top[31]}}, 1'b1};  // -1 or +1
      else                   value = top >>> (6'd32 - bits);
    end
  endfunction

  logic [5:0] a_bits, w_bits, wide, count, a_first, w_first;
  logic [2:0] index;

  always_comb begin
    case (function_id_i[6:3])
      4'd1:    a_bits = 6'd8;
      4'd2:    a_bits = 6'd4;
      4'd4:    a_bits = 6'd2;
      4'd8:    a_bits = 6'd1;
      default: a_bits = 6'd0;
    endcase
    case (function_id_i[1:0])
      2'd0:    w_bits = 6'd8;
      2'd1:    w_bits = 6'd4;
      2'd2:    w_bits = 6'd2;
      default: w_bits = 6'd1;
    endcase
    index = {!function_id_i[2], function_id_i[9], function_id_i[8]};

    wide = a_bits > w_bits ? a_bits : w_bits;
    case (wide)
      6'd8:    count = 6'd4;
      6'd4:    count = 6'd8;
      6'd2:    count = 6'd16;
      default: count = 6'd32;
    endcase

    // Elements of the narrower word beyond the last do not exist; an index selects them where index * count reaches 32 / bits.
    a_first = 6'd0;
    w_first = 6'd0;
    if (a_bits < w_bits) begin
      a_first = index * count;
      legal_o = a_bits != 6'd0 && {3'd0, index} * count * a_bits < 9'd32;
    end else if (w_bits < a_bits) begin
      w_first = index * count;
      legal_o = {3'd0, index} * count * w_bits < 9'd32;
    end else begin
      legal_o = index == 3'd0;
    end

    result_o = 32'd0;
    if (legal_o) begin
      for (int i = 0; i < 32; i++) begin
        if (i < count) begin
          result_o = result_o + value(rs1_i, a_bits, (a_first + i) * a_bits, function_id_i[7]) *
                                value(rs2_i, w_bits, (w_first + i) * w_bits, 1'b0);
        end
      end
    end
  end

endmodule
