// Types of the mixed-precision SIMD unit and the decoding of its function id. README.md beside this file has the table.
package simd_pkg;

  // Operand and lane widths: 8 >> code bits, as in the weight field of the encoding.
  typedef enum logic [1:0] {
    Width8 = 2'd0,
    Width4 = 2'd1,
    Width2 = 2'd2,
    Width1 = 2'd3
  } width_e;

  typedef struct packed {
    logic       legal;       // the function id is in the table
    logic       a_unsigned;  // activations are plain binary
    width_e     a_width;
    width_e     w_width;
    width_e     lane_width;  // the wider of the two
    logic [2:0] index;       // sub-word of the narrower operand
  } op_t;

  function automatic op_t decode(logic [9:0] function_id);
    op_t        op;
    logic       one_hot;
    logic [1:0] ratio_log2;

    op.a_unsigned = function_id[7];
    op.w_width    = width_e'(function_id[1:0]);
    op.index      = {~function_id[2], function_id[9:8]};

    one_hot    = 1'b1;
    op.a_width = Width8;
    unique case (function_id[6:3])
      4'b0001: op.a_width = Width8;
      4'b0010: op.a_width = Width4;
      4'b0100: op.a_width = Width2;
      4'b1000: op.a_width = Width1;
      default: one_hot = 1'b0;
    endcase

    // A word of the narrower operand holds 2^ratio_log2 sub-words.
    if (op.a_width > op.w_width) begin
      op.lane_width = op.w_width;
      ratio_log2    = op.a_width - op.w_width;
    end else begin
      op.lane_width = op.a_width;
      ratio_log2    = op.w_width - op.a_width;
    end
    op.legal = one_hot && ((op.index >> ratio_log2) == 3'd0);
    return op;
  endfunction

endpackage
