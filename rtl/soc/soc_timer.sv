// Cycle counter since reset, with a comparator, and the software interrupt.
// Reading CYCLES_LO latches CYCLES_HI, so that the two words belong together.
module soc_timer (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        valid_i,          // an access, over in this cycle
  input  logic        we_i,
  input  logic [11:2] adr_i,
  input  logic [31:0] wdata_i,
  output logic [31:0] rdata_o,

  output logic [63:0] cycles_o,
  output logic        irq_timer_o,      // while CYCLES >= COMPARE
  output logic        irq_software_o
);

  localparam logic [9:0] AdrCyclesLo = 10'd0, AdrCyclesHi = 10'd1, AdrCompareLo = 10'd2, AdrCompareHi = 10'd3,
                         AdrSoftware = 10'd4;

  logic [63:0] cycles_q, compare_q;
  logic [31:0] latch_q;
  logic        irq_q, software_q;

  assign cycles_o       = cycles_q;
  assign irq_timer_o    = irq_q;
  assign irq_software_o = software_q;

  always_comb begin
    unique case (adr_i)
      AdrCyclesLo:  rdata_o = cycles_q[31:0];
      AdrCyclesHi:  rdata_o = latch_q;
      AdrCompareLo: rdata_o = compare_q[31:0];
      AdrCompareHi: rdata_o = compare_q[63:32];
      AdrSoftware:  rdata_o = {31'd0, software_q};
      default:      rdata_o = '0;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cycles_q   <= '0;
      compare_q  <= '1;
      latch_q    <= '0;
      irq_q      <= 1'b0;
      software_q <= 1'b0;
    end else begin
      cycles_q <= cycles_q + 64'd1;
      irq_q    <= cycles_q >= compare_q;
      if (valid_i && !we_i && adr_i == AdrCyclesLo)  latch_q          <= cycles_q[63:32];
      if (valid_i && we_i && adr_i == AdrCompareLo)  compare_q[31:0]  <= wdata_i;
      if (valid_i && we_i && adr_i == AdrCompareHi)  compare_q[63:32] <= wdata_i;
      if (valid_i && we_i && adr_i == AdrSoftware)   software_q       <= wdata_i[0];
    end
  end

endmodule
