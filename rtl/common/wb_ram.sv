// RAM on Wishbone B4 (registered-feedback bursts, byte masks).
//
// Latency = 0: every beat is answered in its own cycle, single or burst.
// Latency = n: the first beat of a burst and every single access (CTI 000) take n cycles more; the beats that follow in
// an incrementing burst (CTI 010 up to 111) are answered in their own cycle. A burst ends with CTI 111 or when CYC falls.
// A cycle in which the master holds STB low neither counts as a wait state nor ends the burst.
module wb_ram #(
  parameter int unsigned Bytes   = 4 * 1024 * 1024,    // multiple of 4
  parameter int unsigned Latency = 0                   // wait states per access
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic                       cyc_i,
  input  logic                       stb_i,
  input  logic                       we_i,
  input  logic [$clog2(Bytes/4)-1:0] adr_i,            // words
  input  logic [31:0]                wdata_i,
  input  logic [3:0]                 sel_i,
  input  logic [2:0]                 cti_i,
  output logic                       ack_o,
  output logic [31:0]                rdata_o
);

  localparam logic [2:0] CtiBurst = 3'b010;

  logic [31:0] mem [Bytes/4];
  logic        active;

  assign active  = cyc_i & stb_i;
  assign rdata_o = mem[adr_i];

  if (Latency == 0) begin : gen_immediate
    logic unused;
    assign unused = ^{rst_ni, cti_i, CtiBurst};
    assign ack_o  = active;
  end else begin : gen_wait
    localparam int unsigned CountWidth = $clog2(Latency + 1);
    logic [CountWidth-1:0] count_d, count_q;    // wait states left
    logic                  burst_d, burst_q;    // the next beat continues a burst

    assign ack_o = active & (burst_q | (count_q == '0));

    always_comb begin
      count_d = count_q;
      burst_d = burst_q;
      if (!cyc_i) begin
        count_d = CountWidth'(Latency);
        burst_d = 1'b0;
      end else if (ack_o) begin
        count_d = CountWidth'(Latency);
        burst_d = cti_i == CtiBurst;
      end else if (active) begin
        count_d = count_q - 1'b1;
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        count_q <= CountWidth'(Latency);
        burst_q <= 1'b0;
      end else begin
        count_q <= count_d;
        burst_q <= burst_d;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (ack_o && we_i) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (sel_i[i]) mem[adr_i][8*i +: 8] <= wdata_i[8*i +: 8];
      end
    end
  end

endmodule
