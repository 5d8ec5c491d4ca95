// Activations of every row and elements of a vector operation, out of a chunk; combinational.
// In a chunk the elements lie densely: row n takes elements n*pf .. n*pf+pf-1, element m of a vector belongs to column m.
module bf_operands
  import bf_pkg::*;
  import bf_back_pkg::*;
#(
  parameter int unsigned Rows = 16,
  parameter int unsigned Cols = 32          // at most 4 Rows
) (
  input  unit_ctl_t            ctl_i,
  input  logic [32*Rows-1:0]   chunk_i,
  input  logic [4*Rows-1:0]    mask_i,
  output logic [32*Rows-1:0]   act_o,       // zero for a vector operation
  output logic [18*Cols-1:0]   element_o    // signed; the least value, and no element's, where left out of a maximum
);

  // Bits of a row: 32, 16, 8 or 4
  logic [2:0] field_log2;
  assign field_log2 = 3'd6 - {1'b0, compute_log2(ctl_i.wgt_log2)} - {2'b0, ctl_i.act_log2 == 2'd0};

  for (genvar n = 0; n < Rows; n++) begin : gen_row
    logic [31:0] field;
    logic [1:0]  present;
    always_comb begin
      unique case (field_log2)
        3'd5:    begin field = chunk_i[32*n +: 32];         present = 2'b00; end
        3'd4:    begin field = {16'b0, chunk_i[16*n +: 16]}; present = mask_i[2*n +: 2]; end
        3'd3:    begin field = {24'b0, chunk_i[8*n +: 8]};   present = {1'b0, mask_i[n]}; end
        default: begin field = {28'b0, chunk_i[4*n +: 4]};   present = {1'b0, mask_i[n/2]}; end
      endcase
    end
    assign act_o[32*n +: 32] = ctl_i.vector ? '0 : expand_act(field, present, ctl_i.act_log2 == 2'd0, ctl_i.act_signed);
  end

  for (genvar m = 0; m < Cols; m++) begin : gen_element
    logic signed [8:0] value;
    logic              present;
    always_comb begin
      unique case (ctl_i.act_log2)
        2'd3: begin value = {ctl_i.act_signed & chunk_i[8*m+7], chunk_i[8*m +: 8]};      present = mask_i[m]; end
        2'd2: begin value = {{5{ctl_i.act_signed & chunk_i[4*m+3]}}, chunk_i[4*m +: 4]}; present = mask_i[m/2]; end
        2'd1: begin value = {{7{ctl_i.act_signed & chunk_i[2*m+1]}}, chunk_i[2*m +: 2]}; present = mask_i[m/4]; end
        default: begin
          value   = ctl_i.act_signed ? {{8{chunk_i[m]}}, 1'b1} : {8'b0, chunk_i[m]};
          present = mask_i[m/8];
        end
      endcase
    end
    assign element_o[18*m +: 18] = present ? {{9{value[8]}}, value} : {ctl_i.left_out, 17'b0};
  end

  logic unused;
  assign unused = ^{mask_i, ctl_i.wgt_signed, ctl_i.sub};

endmodule
