// ecp5_array with a host that sends and receives one frame at a time through its four pins.
module array_bench #(
  parameter int unsigned Rows       = 4,
  parameter int unsigned Cols       = 4,
  parameter int unsigned BusBits    = 64,
  parameter int unsigned IbufBytes  = 2048,
  parameter int unsigned WbufBytes  = 2048,
  parameter int unsigned ObufBytes  = 512,
  parameter int unsigned PatchDepth = 16,
  parameter int unsigned ParamDepth = 16
) (
  input  logic        clk,
  input  logic        rst_n,
  input  logic        start,       // sends frame
  input  logic [49:0] frame,
  output logic        done,        // sent, and time has passed to carry it out
  output logic [34:0] answer,      // of the frame before: data, response, done
  output logic        busy
);

  localparam int unsigned Gap = 12;

  logic        select_q, select_1_q, data_q, data_out;
  logic [6:0]  count_q;
  logic [49:0] out_q, in_q;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      {select_q, select_1_q, data_q} <= '0;
      count_q <= '0;
    end else begin
      select_1_q <= select_q;
      select_q   <= count_q > 7'(Gap);
      data_q     <= out_q[0];
      if (start)              count_q <= 7'(50 + Gap);
      else if (count_q != '0) count_q <= count_q - 7'd1;
    end
  end
  always_ff @(posedge clk) begin
    if (start)                    out_q <= frame;
    else if (count_q > 7'(Gap))   out_q <= out_q >> 1;
    if (select_1_q) in_q <= {data_out, in_q[49:1]};
  end
  assign done   = count_q == '0;
  assign answer = in_q[34:0];

  ecp5_array #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth)
  ) u_array (
    .clk_i   (clk),
    .rst_ni  (rst_n),
    .select_i(select_q),
    .data_i  (data_q),
    .data_o  (data_out),
    .busy_o  (busy)
  );

endmodule
