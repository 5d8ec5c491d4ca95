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

  // The unit multiplies activation k by weight (k mod 8/a) * 8/w + k div 8/a: activations are put into that order, once for all columns.
  logic [32*Rows-1:0] ordered;
  for (genvar n = 0; n < Rows; n++) begin : gen_order
    logic [31:0] nibbles_2, nibbles_4, crumbs_4, crumbs_2;      // by the other operand's bits
    assign nibbles_4 = {16'b0, act[32*n+12 +: 4], act[32*n+4 +: 4], act[32*n+8 +: 4], act[32*n +: 4]};
    for (genvar k = 0; k < 8; k++) begin : gen_nibble
      assign nibbles_2[4*k +: 4] = act[32*n + 4*(k % 2 * 4 + k / 2) +: 4];
      assign crumbs_4[2*k +: 2]  = act[32*n + 2*(k % 4 * 2 + k / 4) +: 2];
    end
    assign crumbs_4[31:16] = '0;
    for (genvar k = 0; k < 16; k++) begin : gen_crumb
      assign crumbs_2[2*k +: 2] = act[32*n + 2*(k % 4 * 4 + k / 4) +: 2];
    end
    always_comb begin
      unique case ({compute_log2(ctl_i.act_log2), compute_log2(ctl_i.wgt_log2)})
        4'b10_10: ordered[32*n +: 32] = nibbles_4;
        4'b10_01: ordered[32*n +: 32] = nibbles_2;
        4'b01_10: ordered[32*n +: 32] = crumbs_4;
        4'b01_01: ordered[32*n +: 32] = crumbs_2;
        default:  ordered[32*n +: 32] = act[32*n +: 32];
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_i[0]) begin
      act_q     <= ordered;
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
    logic signed [SumBits-1:0]      sum;
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
      .sum_o    (sum)
    );
    assign sum_o[32*m +: 32] = 32'(sum);
  end

endmodule
