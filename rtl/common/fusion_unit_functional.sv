// What fusion_unit computes, with one product an element: the fast model for simulation. Same ports, same results.
module fusion_unit_functional (
  input  logic [31:0]        act_i,
  input  logic [31:0]        wgt_i,
  input  logic [1:0]         act_mode_i,    // bits of an activation: 0: 2, 1: 4, 2: 8
  input  logic [1:0]         wgt_mode_i,    // bits of a weight, likewise
  input  logic               act_signed_i,  // two's complement, else plain binary
  input  logic               wgt_signed_i,
  output logic signed [17:0] sum_o
);

  function automatic logic signed [17:0] crumb(input logic is_signed, input logic [1:0] code);
    crumb = 18'($signed({is_signed & code[1], code}));
  endfunction

  function automatic logic signed [17:0] nibble(input logic is_signed, input logic [3:0] code);
    nibble = 18'($signed({is_signed & code[3], code}));
  endfunction

  function automatic logic signed [17:0] octet(input logic is_signed, input logic [7:0] code);
    octet = 18'($signed({is_signed & code[7], code}));
  endfunction

  // Element k of the activations is multiplied by element (k mod 8/a) * 8/w + k div 8/a of the weights: with k = 8/a * j + i
  // that is 8/w * i + j.
  always_comb begin
    sum_o = '0;
    unique case ({act_mode_i[1], act_mode_i == 2'd0, wgt_mode_i[1], wgt_mode_i == 2'd0})
      4'b10_10: sum_o = octet(act_signed_i, act_i[7:0]) * octet(wgt_signed_i, wgt_i[7:0]);
      4'b10_00: begin
        for (int j = 0; j < 2; j++) sum_o += octet(act_signed_i, act_i[8*j+:8]) * nibble(wgt_signed_i, wgt_i[4*j+:4]);
      end
      4'b10_01: begin
        for (int j = 0; j < 4; j++) sum_o += octet(act_signed_i, act_i[8*j+:8]) * crumb(wgt_signed_i, wgt_i[2*j+:2]);
      end
      4'b00_10: begin
        for (int i = 0; i < 2; i++) sum_o += nibble(act_signed_i, act_i[4*i+:4]) * octet(wgt_signed_i, wgt_i[8*i+:8]);
      end
      4'b00_00: begin
        for (int j = 0; j < 2; j++) begin
          for (int i = 0; i < 2; i++) begin
            sum_o += nibble(act_signed_i, act_i[4*(2*j+i)+:4]) * nibble(wgt_signed_i, wgt_i[4*(2*i+j)+:4]);
          end
        end
      end
      4'b00_01: begin
        for (int j = 0; j < 4; j++) begin
          for (int i = 0; i < 2; i++) begin
            sum_o += nibble(act_signed_i, act_i[4*(2*j+i)+:4]) * crumb(wgt_signed_i, wgt_i[2*(4*i+j)+:2]);
          end
        end
      end
      4'b01_10: begin
        for (int i = 0; i < 4; i++) sum_o += crumb(act_signed_i, act_i[2*i+:2]) * octet(wgt_signed_i, wgt_i[8*i+:8]);
      end
      4'b01_00: begin
        for (int j = 0; j < 2; j++) begin
          for (int i = 0; i < 4; i++) begin
            sum_o += crumb(act_signed_i, act_i[2*(4*j+i)+:2]) * nibble(wgt_signed_i, wgt_i[4*(2*i+j)+:4]);
          end
        end
      end
      default: begin
        for (int j = 0; j < 4; j++) begin
          for (int i = 0; i < 4; i++) begin
            sum_o += crumb(act_signed_i, act_i[2*(4*j+i)+:2]) * crumb(wgt_signed_i, wgt_i[2*(4*i+j)+:2]);
          end
        end
      end
    endcase
  end

endmodule
