// One lane: activation buffer, dot product of a step, accumulator. Three stages after the step is put up:
// buffer read; selection of the step's activations; products summed by significance; and the sum, which stands
// combinationally in the fourth.
module stream_lane
  import stream_pkg::*;
#(
  parameter int unsigned BufWords = 2048          // 32-bit words; a row of the buffer is four
) (
  input  logic                          clk_i,

  input  logic                          we_i,
  input  logic [$clog2(BufWords)-1:0]   waddr_i,
  input  logic [31:0]                   wdata_i,

  input  logic                          re_i,     // read the row at raddr_i
  input  logic [$clog2(BufWords)-3:0]   raddr_i,
  output logic [127:0]                  row_o,    // a cycle later

  input  width_e                        a_width_i,
  input  logic                          a_unsigned_i,
  input  width_e                        w_width_i,
  input  logic                          select_i, // stage 1: the row stands at row_o
  input  logic [4:0]                    part_i,
  input  logic                          dot_i,    // stage 2
  input  logic [31:0]                   weights_i,
  input  logic [31:0]                   mask_i,
  input  logic                          acc_i,    // stage 3
  input  logic                          first_i,
  input  logic [31:0]                   bias_i,
  output logic [31:0]                   sum_o     // stage 3: the accumulator with this step
);

  logic [31:0] bank0 [BufWords/4];
  logic [31:0] bank1 [BufWords/4];
  logic [31:0] bank2 [BufWords/4];
  logic [31:0] bank3 [BufWords/4];

  always_ff @(posedge clk_i) begin
    if (we_i) begin
      if (waddr_i[1:0] == 2'd0) bank0[waddr_i[$clog2(BufWords)-1:2]] <= wdata_i;
      if (waddr_i[1:0] == 2'd1) bank1[waddr_i[$clog2(BufWords)-1:2]] <= wdata_i;
      if (waddr_i[1:0] == 2'd2) bank2[waddr_i[$clog2(BufWords)-1:2]] <= wdata_i;
      if (waddr_i[1:0] == 2'd3) bank3[waddr_i[$clog2(BufWords)-1:2]] <= wdata_i;
    end
  end
  always_ff @(posedge clk_i) begin
    if (re_i) row_o <= {bank3[raddr_i], bank2[raddr_i], bank1[raddr_i], bank0[raddr_i]};
  end

  // A step's activations lie aligned to their own size, so bits of part_i below it are 0.
  logic [127:0] part;
  always_comb begin
    part = row_o;
    if (part_i[4]) part[63:0] = part[127:64];
    if (part_i[3]) part[31:0] = part[63:32];
    if (part_i[2]) part[15:0] = part[31:16];
    if (part_i[1]) part[7:0]  = part[15:8];
    if (part_i[0]) part[3:0]  = part[7:4];
  end

  logic signed [18:0] dot;
  stream_dot u_dot (
    .clk_i,
    .select_i     (select_i),
    .enable_i     (dot_i),
    .a_width_i    (a_width_i),
    .a_unsigned_i (a_unsigned_i),
    .w_width_i    (w_width_i),
    .a_i          (part),
    .weights_i    (weights_i),
    .mask_i       (mask_i),
    .dot_o        (dot)
  );

  logic [31:0] acc_q;
  assign sum_o = (first_i ? bias_i : acc_q) + 32'(dot);
  always_ff @(posedge clk_i) if (acc_i) acc_q <= sum_o;

endmodule
