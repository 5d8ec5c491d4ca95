// Selects the sub-word of an operand that one instruction uses and widens its elements to the lanes of the dot product.
// Combinational. An operand as wide as the lanes passes unchanged.
module simd_widen (
  input  logic             enable_i,      // low: lanes are 0 and nothing toggles
  input  logic [31:0]      word_i,
  input  simd_pkg::width_e width_i,       // of the elements of word_i
  input  simd_pkg::width_e lane_width_i,  // at least as wide as width_i
  input  logic             unsigned_i,    // plain binary, else two's complement and 1 bit is {0: +1, 1: -1}
  input  logic [2:0]       index_i,       // sub-word, below lane width / width
  output logic [31:0]      lanes_o
);

  logic [1:0]  ratio_log2;
  logic [4:0]  shift;
  logic [31:0] part;
  logic        is_signed;

  // The word holds 2^ratio_log2 sub-words of 32 / 2^ratio_log2 bits.
  assign ratio_log2 = width_i - lane_width_i;
  assign shift      = 5'({index_i, 5'b0} >> ratio_log2);
  assign is_signed  = ~unsigned_i;

  always_comb begin
    part    = '0;
    lanes_o = '0;
    if (enable_i) begin
      part = word_i >> shift;
      unique case ({lane_width_i, width_i})
        {simd_pkg::Width8, simd_pkg::Width4}: begin
          for (int i = 0; i < 4; i++) lanes_o[8*i+:8] = {{4{is_signed & part[4*i+3]}}, part[4*i+:4]};
        end
        {simd_pkg::Width8, simd_pkg::Width2}: begin
          for (int i = 0; i < 4; i++) lanes_o[8*i+:8] = {{6{is_signed & part[2*i+1]}}, part[2*i+:2]};
        end
        {simd_pkg::Width8, simd_pkg::Width1}: begin
          for (int i = 0; i < 4; i++) lanes_o[8*i+:8] = {{7{is_signed & part[i]}}, is_signed | part[i]};
        end
        {simd_pkg::Width4, simd_pkg::Width2}: begin
          for (int i = 0; i < 8; i++) lanes_o[4*i+:4] = {{2{is_signed & part[2*i+1]}}, part[2*i+:2]};
        end
        {simd_pkg::Width4, simd_pkg::Width1}: begin
          for (int i = 0; i < 8; i++) lanes_o[4*i+:4] = {{3{is_signed & part[i]}}, is_signed | part[i]};
        end
        {simd_pkg::Width2, simd_pkg::Width1}: begin
          for (int i = 0; i < 16; i++) lanes_o[2*i+:2] = {is_signed & part[i], is_signed | part[i]};
        end
        default: lanes_o = word_i;
      endcase
    end
  end

endmodule
