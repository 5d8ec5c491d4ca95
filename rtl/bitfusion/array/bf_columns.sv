// The array: every column adds its rows' units. Operands are broadcast and registered, so that all columns finish in the same cycle:
// two cycles to the units' products, then one for every two levels of the adder tree.
module bf_columns
  import bf_pkg::*;
  import bf_back_pkg::*;
#(
  parameter int unsigned Rows = 16,
  parameter int unsigned Cols = 32,
  localparam int unsigned Levels = $clog2(Rows),
  localparam int unsigned Stages = 2 + (Levels + 1) / 2    // cycles from a token to its sums
) (
  input  logic                    clk_i,
  input  logic [Stages-1:0]       valid_i,      // token in stage s
  input  unit_ctl_t               ctl_i,        // of stage 0
  input  logic [32*Rows-1:0]      chunk_i,
  input  logic [4*Rows-1:0]       mask_i,
  input  logic [32*Rows*Cols-1:0] weights_i,    // word m*Rows + n
  output logic [32*Cols-1:0]      sum_o         // signed
);

  localparam int unsigned SumBits = 18 + Levels;
  localparam int unsigned Padded  = 1 << Levels;

  // Operands
  logic [32*Rows-1:0] act, act_q;
  logic [18*Cols-1:0] element, element_q;
  unit_ctl_t          ctl_q;
  bf_operands #(.Rows(Rows), .Cols(Cols)) u_operands (
    .ctl_i, .chunk_i, .mask_i,
    .act_o     (act),
    .element_o (element)
  );
  always_ff @(posedge clk_i) begin
    if (valid_i[0]) begin
      act_q     <= act;
      element_q <= element;
      ctl_q     <= ctl_i;
    end
  end

  logic [4:0] shift;
  logic [1:0] act_mode, wgt_mode;
  assign shift    = 5'(6'(ctl_i.sub) << subword_log2(ctl_i.act_log2, ctl_i.wgt_log2));
  assign act_mode = compute_log2(ctl_q.act_log2) - 2'd1;
  assign wgt_mode = compute_log2(ctl_q.wgt_log2) - 2'd1;

  logic unused;
  assign unused = ^{ctl_q.left_out, ctl_q.sub};

  for (genvar m = 0; m < Cols; m++) begin : gen_col
    // Products: one a row, a vector operation's element in place of row 0's.
    logic signed [Padded-1:0][17:0] product_q;
    for (genvar n = 0; n < Padded; n++) begin : gen_row
      if (n < Rows) begin : gen_unit
        logic        [31:0] wgt_q;
        logic signed [17:0] product;
        always_ff @(posedge clk_i) begin
          if (valid_i[0]) wgt_q <= expand_wgt(weights_i[32*(m*Rows+n) +: 32], shift, ctl_i.wgt_log2 == 2'd0, ctl_i.wgt_signed);
        end
        fusion_unit u_unit (
          .act_i        (act_q[32*n +: 32]),
          .wgt_i        (wgt_q),
          .act_mode_i   (act_mode),
          .wgt_mode_i   (wgt_mode),
          .act_signed_i (ctl_q.act_signed),
          .wgt_signed_i (ctl_q.wgt_signed),
          .sum_o        (product)
        );
        always_ff @(posedge clk_i) begin
          if (valid_i[1]) product_q[n] <= n == 0 && ctl_q.vector ? element_q[18*m +: 18] : product;
        end
      end else begin : gen_none
        assign product_q[n] = '0;
      end
    end

    bf_tree #(.Levels(Levels)) u_tree (
      .clk_i,
      .valid_i  (valid_i[Stages-1:2]),
      .addend_i (product_q),
      .sum_o    (sum_o[32*m +: SumBits])
    );
    assign sum_o[32*m+SumBits +: 32-SumBits] = {32-SumBits{sum_o[32*m+SumBits-1]}};
  end

endmodule
