// Dot product of two words of 4, 8, 16 or 32 equal lanes. Combinational: one set of products a lane width, of which only the
// selected one is computed in simulation.
module simd_dot (
  input  logic             enable_i,      // low: the result is 0
  input  simd_pkg::width_e lane_width_i,
  input  logic             a_unsigned_i,
  input  logic [31:0]      a_i,           // activations: plain binary or two's complement; 1 bit: {0, 1} or {0: +1, 1: -1}
  input  logic [31:0]      w_i,           // weights: two's complement; 1 bit: {0: +1, 1: -1}
  output logic [31:0]      dot_o
);

  logic        a_signed;
  logic        nonzero;
  logic [31:0] sum;

  assign a_signed = ~a_unsigned_i;

  always_comb begin
    nonzero = 1'b0;
    sum     = '0;
    if (enable_i) begin
      unique case (lane_width_i)
        simd_pkg::Width8: begin
          for (int i = 0; i < 4; i++) begin
            sum += 32'($signed({a_signed & a_i[8*i+7], a_i[8*i+:8]})) * 32'($signed(w_i[8*i+:8]));
          end
        end
        simd_pkg::Width4: begin
          for (int i = 0; i < 8; i++) begin
            sum += 32'($signed({a_signed & a_i[4*i+3], a_i[4*i+:4]})) * 32'($signed(w_i[4*i+:4]));
          end
        end
        simd_pkg::Width2: begin
          for (int i = 0; i < 16; i++) begin
            sum += 32'($signed({a_signed & a_i[2*i+1], a_i[2*i+:2]})) * 32'($signed(w_i[2*i+:2]));
          end
        end
        simd_pkg::Width1: begin
          // A product is {negative, non-zero}: only a plain activation can be 0.
          for (int i = 0; i < 32; i++) begin
            nonzero = a_unsigned_i ? a_i[i] : 1'b1;
            sum += 32'($signed({nonzero & (w_i[i] ^ (a_signed & a_i[i])), nonzero}));
          end
        end
        default: sum = '0;
      endcase
    end
  end

  assign dot_o = sum;

endmodule
