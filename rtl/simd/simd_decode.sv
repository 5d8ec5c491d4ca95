// Function id to operation; README.md beside this file has the table. Combinational.
module simd_decode (
  input  logic [9:0]       function_id_i,  // {funct7, funct3}
  output logic             legal_o,        // the function id is in the table
  output logic             a_unsigned_o,   // activations are plain binary
  output simd_pkg::width_e a_width_o,
  output simd_pkg::width_e w_width_o,
  output simd_pkg::width_e lane_width_o,   // the wider of the two
  output logic [2:0]       index_o         // sub-word of the narrower operand
);

  logic       one_hot;
  logic       a_wider;
  logic [1:0] ratio_log2;

  assign a_unsigned_o = function_id_i[7];
  assign w_width_o    = simd_pkg::width_e'(function_id_i[1:0]);
  assign index_o      = {~function_id_i[2], function_id_i[9:8]};

  always_comb begin
    one_hot   = 1'b1;
    a_width_o = simd_pkg::Width8;
    unique case (function_id_i[6:3])
      4'b0001: a_width_o = simd_pkg::Width8;
      4'b0010: a_width_o = simd_pkg::Width4;
      4'b0100: a_width_o = simd_pkg::Width2;
      4'b1000: a_width_o = simd_pkg::Width1;
      default: one_hot = 1'b0;
    endcase
  end

  // A larger code is a narrower width; a word of the narrower operand holds 2^ratio_log2 sub-words.
  assign a_wider      = a_width_o < w_width_o;
  assign lane_width_o = a_wider ? a_width_o : w_width_o;
  assign ratio_log2   = a_wider ? w_width_o - a_width_o : a_width_o - w_width_o;
  assign legal_o      = one_hot & ((index_o >> ratio_log2) == 3'd0);

endmodule
