// Clock gate with a latch: no edge of clk_o where en_i is low, no glitch. For a simulator, which does not evaluate what has no
// edge, and for an ASIC's cell; an FPGA is better served by Gate = 0.
module clock_gate #(
  parameter bit Gate = 1'b1    // 0: clk_o is clk_i
) (
  input  logic clk_i,
  input  logic en_i,           // there is an edge at the end of this cycle
  output logic clk_o
);

  if (Gate) begin : gen_gate
    logic en_q;
    always_latch begin
      if (!clk_i) en_q = en_i;
    end
    assign clk_o = clk_i & en_q;
  end else begin : gen_through
    logic unused;
    assign unused = en_i;
    assign clk_o  = clk_i;
  end

endmodule
