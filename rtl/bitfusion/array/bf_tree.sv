// Sum of 2^Levels numbers of 18 bits, a register behind every two levels of adders.
module bf_tree #(
  parameter int unsigned Levels = 4,
  localparam int unsigned Stages = (Levels + 1) / 2
) (
  input  logic                              clk_i,
  input  logic [Stages-1:0]                 valid_i,
  input  logic signed [2**Levels-1:0][17:0] addend_i,
  output logic signed [17+Levels:0]         sum_o
);

  localparam int unsigned Width = 18 + Levels;

  for (genvar s = 0; s <= Stages; s++) begin : gen_stage
    localparam int unsigned Count = s == Stages ? 1 : 1 << (Levels - 2 * s);
    logic signed [Width-1:0] value [Count];
    if (s == 0) begin : gen_first
      for (genvar i = 0; i < Count; i++) begin : gen_addend
        assign value[i] = Width'($signed(addend_i[i]));
      end
    end else begin : gen_adders
      localparam int unsigned Before = 1 << (Levels - 2 * (s - 1));
      for (genvar i = 0; i < Count; i++) begin : gen_sum
        logic signed [Width-1:0] sum;
        if (Before == 2) begin : gen_two
          assign sum = gen_stage[s-1].value[0] + gen_stage[s-1].value[1];
        end else begin : gen_four
          assign sum = (gen_stage[s-1].value[4*i] + gen_stage[s-1].value[4*i+1])
                       + (gen_stage[s-1].value[4*i+2] + gen_stage[s-1].value[4*i+3]);
        end
        always_ff @(posedge clk_i) begin
          if (valid_i[s-1]) value[i] <= sum;
        end
      end
    end
  end

  assign sum_o = gen_stage[Stages].value[0];

endmodule
