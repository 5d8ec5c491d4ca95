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

  function automatic logic [64*5-1:0] products();
    int act, wgt;
    for (int index = 0; index < 64; index++) begin
      act = (index >> 2) & 3;
      wgt = index & 3;
      if (((index >> 5) & 1) == 1 && act > 1) act -= 4;
      if (((index >> 4) & 1) == 1 && wgt > 1) wgt -= 4;
      products[5*index+:5] = 5'(act * wgt);
    end
  endfunction

  localparam logic [64*5-1:0] Products = products();

  assign product_o = Products[5*{3'b0, act_signed_i, wgt_signed_i, act_i, wgt_i}+:5];

endmodule
