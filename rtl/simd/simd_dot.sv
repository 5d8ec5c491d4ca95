// Dot product of two words of 4, 8, 16 or 32 equal lanes: one set of products a lane width, of which only the selected one is
// computed in simulation.
module simd_dot #(
  parameter bit Register = 1'b0           // 1: a register for each byte's sum of products, the result comes a cycle later; 0: combinational
) (
  input  logic             clk_i,         // unused where there is no register
  input  logic             enable_i,      // low: the result is 0
  input  simd_pkg::width_e lane_width_i,
  input  logic             a_unsigned_i,
  input  logic [31:0]      a_i,           // activations: plain binary or two's complement; 1 bit: {0, 1} or {0: +1, 1: -1}
  input  logic [31:0]      w_i,           // weights: two's complement; 1 bit: {0: +1, 1: -1}
  output logic [31:0]      dot_o
);

  // The sum and the products of a byte of each operand. Yosys' own Verilog reader, of the proof, knows no return.
  function automatic logic [31:0] add_byte(
    logic [31:0] sum, simd_pkg::width_e lane_width, logic a_unsigned, logic [7:0] a, logic [7:0] w
  );
    logic a_signed, nonzero;
    a_signed = ~a_unsigned;
    nonzero  = 1'b0;
    add_byte = sum;
    unique case (lane_width)
      simd_pkg::Width8: add_byte += 32'($signed({a_signed & a[7], a})) * 32'($signed(w));
      simd_pkg::Width4: begin
        for (int i = 0; i < 2; i++) begin
          add_byte += 32'($signed({a_signed & a[4*i+3], a[4*i+:4]})) * 32'($signed(w[4*i+:4]));
        end
      end
      simd_pkg::Width2: begin
        for (int i = 0; i < 4; i++) begin
          add_byte += 32'($signed({a_signed & a[2*i+1], a[2*i+:2]})) * 32'($signed(w[2*i+:2]));
        end
      end
      default: begin
        // A product is {negative, non-zero}: only a plain activation can be 0.
        for (int i = 0; i < 8; i++) begin
          nonzero   = a_unsigned ? a[i] : 1'b1;
          add_byte += 32'($signed({nonzero & (w[i] ^ (a_signed & a[i])), nonzero}));
        end
      end
    endcase
  endfunction

  if (Register) begin : gen_register
    logic [31:0] sum [16], sum_q [16];    // of each byte, for each lane width
    always_comb begin
      for (int unsigned i = 0; i < 16; i++) begin
        sum[i] = '0;
        if (enable_i && lane_width_i == simd_pkg::width_e'(i / 4)) begin
          sum[i] = add_byte('0, simd_pkg::width_e'(i / 4), a_unsigned_i, a_i[8*(i%4)+:8], w_i[8*(i%4)+:8]);
        end
      end
    end
    always_ff @(posedge clk_i) sum_q <= sum;

    always_comb begin
      dot_o = '0;
      for (int i = 0; i < 4; i++) dot_o |= (sum_q[4*i] + sum_q[4*i+1]) + (sum_q[4*i+2] + sum_q[4*i+3]);
    end
  end else begin : gen_combinational
    logic unused_clk;
    assign unused_clk = clk_i;
    always_comb begin
      dot_o = '0;
      if (enable_i) begin
        for (int i = 0; i < 4; i++) dot_o = add_byte(dot_o, lane_width_i, a_unsigned_i, a_i[8*i+:8], w_i[8*i+:8]);
      end
    end
  end

endmodule
