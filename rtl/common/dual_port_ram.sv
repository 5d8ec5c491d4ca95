// RAM with two ports that work in the same cycle: Wishbone B4 (registered-feedback bursts, byte masks) for a core's bus, and an
// OBI-like port (request, grant, answer) for a unit beside the core.
//
// Wishbone port. Latency = 0: every beat is answered in its own cycle, single or burst, from a read without a register.
// Latency = n: the first beat of a burst and every single access (CTI 000) take n cycles more; the beats that follow in
// an incrementing burst (CTI 010 up to 111) are answered in their own cycle. A burst ends with CTI 111 or when CYC falls.
// A cycle in which the master holds STB low neither counts as a wait state nor ends the burst.
//
// OBI port. A request is always granted in its cycle, a read answered Latency + 1 cycles later; reads overlap, so n wait states
// delay the first word of a stream, not each.
//
// Both ports see a write of either from the next cycle on. With Latency > 0 the Wishbone port reads a cycle before it answers,
// and all reads are registered: block RAM. Of two writes of the same byte in one cycle that of the OBI port stays.
module dual_port_ram #(
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
  output logic [31:0]                rdata_o,

  input  logic                       req_i,
  input  logic                       req_we_i,
  input  logic [3:0]                 req_be_i,
  input  logic [$clog2(Bytes/4)-1:0] req_adr_i,        // words
  input  logic [31:0]                req_wdata_i,
  output logic                       gnt_o,
  output logic                       rvalid_o,         // a read's answer, in order of the grants
  output logic [31:0]                rsp_rdata_o
);

  localparam logic [2:0] CtiBurst = 3'b010;

  // In block RAM a read of a word that the other port writes in the same cycle has no defined value.
  (* no_rw_check *) logic [31:0] mem [Bytes/4];
  logic        active;

  assign active = cyc_i & stb_i;
  assign gnt_o  = 1'b1;

  // Wishbone port
  logic [$clog2(Bytes/4)-1:0] port_adr;
  if (Latency == 0) begin : gen_immediate
    logic unused;
    assign unused   = ^{rst_ni, cti_i, CtiBurst};
    assign ack_o    = active;
    assign port_adr = adr_i;
    assign rdata_o  = mem[port_adr];
  end else begin : gen_wait
    localparam int unsigned CountWidth = $clog2(Latency + 1);
    logic [CountWidth-1:0] count_d, count_q;    // wait states left
    logic                  burst_d, burst_q;    // the next beat continues a burst
    logic [31:0]           rdata_q;

    assign ack_o   = active & (burst_q | (count_q == '0));
    assign rdata_o = rdata_q;

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

    // A beat of a burst reads ahead for the next one.
    assign port_adr = (ack_o & ~we_i) ? adr_i + 1'b1 : adr_i;
    always_ff @(posedge clk_i) begin
      if (active && !we_i) rdata_q <= mem[port_adr];
    end
  end

  always_ff @(posedge clk_i) begin
    if (ack_o && we_i) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (sel_i[i]) mem[port_adr][8*i +: 8] <= wdata_i[8*i +: 8];
      end
    end
    if (req_i && req_we_i) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (req_be_i[i]) mem[req_adr_i][8*i +: 8] <= req_wdata_i[8*i +: 8];
      end
    end
  end

  // OBI port
  logic        read_q;
  logic [31:0] word_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) read_q <= 1'b0;
    else         read_q <= req_i & ~req_we_i;
  end
  always_ff @(posedge clk_i) begin
    if (req_i && !req_we_i) word_q <= mem[req_adr_i];
  end

  if (Latency == 0) begin : gen_next_cycle
    assign rvalid_o    = read_q;
    assign rsp_rdata_o = word_q;
  end else begin : gen_delay
    // A ring of the last Latency cycles.
    localparam int unsigned IndexWidth = Latency == 1 ? 1 : $clog2(Latency);
    logic [IndexWidth-1:0] at_q;
    logic [31:0]           word_ring [Latency];
    logic [Latency-1:0]    read_ring_q;

    assign rvalid_o    = read_ring_q[at_q];
    assign rsp_rdata_o = word_ring[at_q];

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        at_q        <= '0;
        read_ring_q <= '0;
      end else begin
        at_q              <= at_q == IndexWidth'(Latency - 1) ? '0 : at_q + 1'b1;
        read_ring_q[at_q] <= read_q;
      end
    end
    always_ff @(posedge clk_i) begin
      if (read_q) word_ring[at_q] <= word_q;
    end
  end

endmodule
