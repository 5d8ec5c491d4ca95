// The array's sums as bf_columns gives them, in the same cycle, written for a simulator: pairs of 2-bit operands by counting bits, others
// a product an element, weights as unsigned numbers whose offset is taken off the column's sum. Not for synthesis.
module bf_columns_functional
  import bf_pkg::*;
  import bf_back_pkg::*;
#(
  parameter int unsigned Rows = 16,
  parameter int unsigned Cols = 32,
  localparam int unsigned Stages = 2 + ($clog2(Rows) + 1) / 2
) (
  input  logic                    clk_i,
  input  logic [Stages-1:0]       valid_i,
  input  unit_ctl_t               ctl_i,
  input  logic [32*Rows-1:0]      chunk_i,
  input  logic [4*Rows-1:0]       mask_i,
  input  logic [32*Rows*Cols-1:0] weights_i,
  output logic [32*Cols-1:0]      sum_o
);

  localparam int unsigned Quads = (Rows + 3) / 4;    // of rows: 64 pairs of bits
  localparam logic [63:0] Even  = 64'h5555_5555_5555_5555;

  logic [32*Rows-1:0] act;
  logic [18*Cols-1:0] element;
  bf_operands #(.Rows(Rows), .Cols(Cols)) u_operands (
    .ctl_i, .chunk_i, .mask_i,
    .act_o     (act),
    .element_o (element)
  );

  // Activations of the token: as numbers, 8 places a row, and as the lower and upper bits of pairs
  int          number [8*Rows];
  logic [63:0] lower [Quads], upper [Quads];
  int          total;             // sum of all activations
  int          upper_factor;      // what an upper bit counts

  logic [1:0] act_log2, wgt_log2;
  assign act_log2 = compute_log2(ctl_i.act_log2);
  assign wgt_log2 = compute_log2(ctl_i.wgt_log2);

  // The activations, once for all columns
  always_comb begin
    number       = '{default: 0};
    lower        = '{default: '0};
    upper        = '{default: '0};
    total        = 0;
    upper_factor = ctl_i.act_signed ? -2 : 2;
    if (valid_i[0]) begin
      if (act_log2 == 2'd1 && wgt_log2 == 2'd1) begin
        for (int unsigned n = 0; n < Rows; n++) begin
          // Rows 4q and 4q+1 at even bits, 4q+2 and 4q+3 at odd bits
          lower[n/4] |= ((64'(act[32*n +: 32]) & Even) << (32 * (n % 2))) << (n / 2 % 2);
          upper[n/4] |= (((64'(act[32*n +: 32]) >> 1) & Even) << (32 * (n % 2))) << (n / 2 % 2);
        end
        for (int unsigned q = 0; q < Quads; q++) total += $countones(lower[q]) + upper_factor * $countones(upper[q]);
      end else begin
        for (int unsigned n = 0; n < Rows; n++) begin
          for (int unsigned k = 0; k < 8; k++) begin
            unique case (act_log2)
              2'd3:    if (k < 4) number[8*n+k] = int'($signed({ctl_i.act_signed & act[32*n+8*(k%4)+7], act[32*n+8*(k%4) +: 8]}));
              2'd2:    number[8*n+k] = int'($signed({ctl_i.act_signed & act[32*n+4*k+3], act[32*n+4*k +: 4]}));
              default: number[8*n+k] = int'($signed({ctl_i.act_signed & act[32*n+2*k+1], act[32*n+2*k +: 2]}));
            endcase
            if (4'(k) < (4'd1 << (3'd6 - 3'(act_log2) - 3'(wgt_log2)))) total += number[8*n+k];
            else number[8*n+k] = 0;
          end
        end
      end
    end
  end

  // Sums, and their way through the stages
  logic        single;
  logic [4:0]  shift;
  logic [31:0] offset;
  int          factor, constant;
  assign single = ctl_i.wgt_log2 == 2'd0;
  assign shift  = 5'(6'(ctl_i.sub) << subword_log2(ctl_i.act_log2, ctl_i.wgt_log2));
  always_comb begin
    offset   = '0;
    factor   = 1;
    constant = 0;
    if (ctl_i.wgt_signed) begin
      unique case (ctl_i.wgt_log2)
        2'd3:    begin offset = 32'h8080_8080; constant = -128 * total; end
        2'd2:    begin offset = 32'h8888_8888; constant = -8 * total;   end
        2'd1:    begin offset = 32'hAAAA_AAAA; constant = -2 * total;   end
        default: begin factor = -2;            constant = total;        end
      endcase
    end
  end

  int                 product [Cols];
  logic [32*Rows-1:0] column;
  logic [31:0]        w [4*Quads];
  logic [63:0]        first, second, low, high;
  always_comb begin
    product = '{default: 0};
    w       = '{default: '0};
    column  = '0;
    first   = '0;
    second  = '0;
    low     = '0;
    high    = '0;
    if (valid_i[0] && !ctl_i.vector) begin
      /* verilator unroll_disable */
      for (int unsigned m = 0; m < Cols; m++) begin
        // The units' weights, sub-word at [0], unsigned: w + 2^(bits-1) if signed, 1-bit codes as 0 and 1
        column = weights_i[32*Rows*m +: 32*Rows];
        if (single) for (int unsigned n = 0; n < Rows; n++) w[n] = spread(16'(column[32*n +: 32] >> shift));
        else        for (int unsigned n = 0; n < Rows; n++) w[n] = (column[32*n +: 32] >> shift) ^ offset;

        if (wgt_log2 == 2'd1 && act_log2 == 2'd1) begin
          for (int unsigned q = 0; q < Quads; q++) begin
            first  = {w[4*q+1], w[4*q]};
            second = {w[4*q+3], w[4*q+2]};
            low    = (first & Even) | ((second & Even) << 1);
            high   = ((first >> 1) & Even) | (second & ~Even);
            product[m] += $countones(lower[q] & low) + 2 * $countones(lower[q] & high)
                          + upper_factor * ($countones(upper[q] & low) + 2 * $countones(upper[q] & high));
          end
        end else if (wgt_log2 == 2'd1) begin
          for (int unsigned n = 0; n < Rows; n++) begin
            product[m] += number[8*n]   * int'(w[n][1:0]) + number[8*n+1] * int'(w[n][3:2])
                        + number[8*n+2] * int'(w[n][5:4]) + number[8*n+3] * int'(w[n][7:6]);
          end
          if (act_log2 == 2'd2) for (int unsigned n = 0; n < Rows; n++) begin
            product[m] += number[8*n+4] * int'(w[n][9:8])   + number[8*n+5] * int'(w[n][11:10])
                        + number[8*n+6] * int'(w[n][13:12]) + number[8*n+7] * int'(w[n][15:14]);
          end
        end else if (wgt_log2 == 2'd2) begin
          for (int unsigned n = 0; n < Rows; n++)
            product[m] += number[8*n] * int'(w[n][3:0]) + number[8*n+1] * int'(w[n][7:4]);
          if (act_log2 != 2'd3) for (int unsigned n = 0; n < Rows; n++)
            product[m] += number[8*n+2] * int'(w[n][11:8]) + number[8*n+3] * int'(w[n][15:12]);
          if (act_log2 == 2'd1) for (int unsigned n = 0; n < Rows; n++) begin
            product[m] += number[8*n+4] * int'(w[n][19:16]) + number[8*n+5] * int'(w[n][23:20])
                        + number[8*n+6] * int'(w[n][27:24]) + number[8*n+7] * int'(w[n][31:28]);
          end
        end else begin
          for (int unsigned n = 0; n < Rows; n++) product[m] += number[8*n] * int'(w[n][7:0]);
          if (act_log2 != 2'd3) for (int unsigned n = 0; n < Rows; n++) product[m] += number[8*n+1] * int'(w[n][15:8]);
          if (act_log2 == 2'd1) for (int unsigned n = 0; n < Rows; n++)
            product[m] += number[8*n+2] * int'(w[n][23:16]) + number[8*n+3] * int'(w[n][31:24]);
        end
        product[m] = constant + factor * product[m];
      end
    end
  end

  int sum_q [Stages][Cols];
  always_ff @(posedge clk_i) begin
    if (valid_i[0]) begin
      for (int unsigned m = 0; m < Cols; m++)
        sum_q[0][m] <= ctl_i.vector ? int'($signed(element[18*m +: 18])) : product[m];
    end
    for (int unsigned s = 1; s < Stages; s++) begin
      if (valid_i[s]) sum_q[s] <= sum_q[s-1];
    end
  end
  for (genvar m = 0; m < Cols; m++) begin : gen_sum
    assign sum_o[32*m +: 32] = sum_q[Stages-1][m];
  end

endmodule
