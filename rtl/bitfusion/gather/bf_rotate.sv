// Rotation to the left by 0..Bytes-1 bytes (any number of them), two bits of the amount a cycle.
module bf_rotate #(
  parameter int unsigned Bytes = 64,
  localparam int unsigned AmountW = $clog2(Bytes),
  localparam int unsigned Stages  = (AmountW + 1) / 2
) (
  input  logic               clk_i,
  input  logic [Stages-1:0]  valid_i,       // bit s: there is something to move into stage s
  input  logic [AmountW-1:0] amount_i,
  input  logic [8*Bytes-1:0] data_i,
  output logic [8*Bytes-1:0] data_o         // Stages cycles later
);

  for (genvar s = 0; s < Stages; s++) begin : gen_stage
    localparam int unsigned Low = 8 * (1 << (2 * s));           // bits moved by the lower bit of the amount
    logic [8*Bytes-1:0] in, once, twice, data_q;
    logic [AmountW-1:0] amount;

    if (s == 0) begin : gen_first
      assign in     = data_i;
      assign amount = amount_i;
    end else begin : gen_later
      assign in     = gen_stage[s-1].data_q;
      assign amount = gen_stage[s-1].gen_amount.amount_q;
    end

    assign once = amount[0] ? {in[8*Bytes-Low-1:0], in[8*Bytes-1 -: Low]} : in;
    if (2 * s + 1 < AmountW) begin : gen_second
      assign twice = amount[1] ? {once[8*Bytes-2*Low-1:0], once[8*Bytes-1 -: 2*Low]} : once;
    end else begin : gen_no_second
      assign twice = once;
    end

    always_ff @(posedge clk_i) if (valid_i[s]) data_q <= twice;
    if (s + 1 == Stages) begin : gen_last
      logic unused;
      assign unused = ^amount;
    end else begin : gen_amount
      logic [AmountW-1:0] amount_q;
      always_ff @(posedge clk_i) if (valid_i[s]) amount_q <= amount >> 2;
    end
  end

  assign data_o = gen_stage[Stages-1].data_q;

endmodule
