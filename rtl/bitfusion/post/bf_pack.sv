// Codes of all columns as bytes: column 0 in the lowest bits.
module bf_pack
  import bf_back_pkg::*;
#(
  parameter int unsigned Cols = 32
) (
  input  logic               clk_i,
  input  logic               valid_i,
  input  post_ctl_t          ctl_i,
  input  logic [32*Cols-1:0] code_i,
  output logic [32*Cols-1:0] data_o      // in the next cycle
);

  logic [32*Cols-1:0] data_q;
  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      if (ctl_i.out_wide) begin
        data_q <= code_i;
      end else begin
        unique case (ctl_i.out_log2)
          2'd3:    for (int unsigned m = 0; m < Cols; m++) data_q[8*m +: 8] <= code_i[32*m +: 8];
          2'd2:    for (int unsigned m = 0; m < Cols; m++) data_q[4*m +: 4] <= code_i[32*m +: 4];
          2'd1:    for (int unsigned m = 0; m < Cols; m++) data_q[2*m +: 2] <= code_i[32*m +: 2];
          default: for (int unsigned m = 0; m < Cols; m++) data_q[m]        <= code_i[32*m];
        endcase
      end
    end
  end
  assign data_o = data_q;

  logic unused;
  assign unused = ^ctl_i;

endmodule
