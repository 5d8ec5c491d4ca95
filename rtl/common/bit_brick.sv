// Product of two 2-bit operands, each two's complement or plain binary by its flag: -6 to 9. Combinational.
// A constant table, so that synthesis spends one 6-input LUT a bit; the hierarchy is kept, since merging the table into
// the multiplexers and adders around it costs more LUTs than it saves.
(* keep_hierarchy *)
module bit_brick (
  input  logic [1:0]        act_i,
  input  logic [1:0]        wgt_i,
  input  logic              act_signed_i,
  input  logic              wgt_signed_i,
  output logic signed [4:0] product_o
);

  // Bit b of the product for each {act_signed, wgt_signed, act, wgt}.
  function automatic logic [63:0] products(input int b);
    int left, right;
    for (int i = 0; i < 64; i++) begin
      left  = (i >> 2) & 3;
      right = i & 3;
      if (((i >> 5) & 1) == 1 && left > 1) left -= 4;
      if (((i >> 4) & 1) == 1 && right > 1) right -= 4;
      products[i] = 1'((left * right) >> b);
    end
  endfunction

  logic [5:0] index;

  assign index = {act_signed_i, wgt_signed_i, act_i, wgt_i};

  for (genvar b = 0; b < 5; b++) begin : g_bit
    localparam logic [63:0] Products = products(b);
    assign product_o[b] = Products[index];
  end

endmodule
