// Info block: what this SoC is, and the bus errors of its data side.
// FAULT_COUNT stops at its maximum; FAULT_ADDRESS is that of the first fault counted. Any write to FAULT_COUNT clears both.
module soc_info #(
  parameter logic [31:0] BuildId     = '0,
  parameter int unsigned ClockHz     = 50_000_000,
  parameter int unsigned CpuKind     = 1,
  parameter int unsigned RamBytes    = 4 * 1024 * 1024,
  parameter int unsigned SimdVersion = 1,                // 0: no SIMD unit
  parameter int unsigned SimdLanes   = 0,                // of the streaming engine; 0: none
  parameter int unsigned RamLatency  = 0
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        valid_i,          // an access, over in this cycle
  input  logic        we_i,
  input  logic [11:2] adr_i,
  output logic [31:0] rdata_o,

  input  logic        fault_i,          // the data side met a bus error in this cycle
  input  logic [31:2] fault_adr_i,
  output logic        irq_o             // while FAULT_COUNT is not 0
);

  logic [31:0] count_q;
  logic [31:2] adr_q;

  assign irq_o = count_q != '0;

  always_comb begin
    unique case (adr_i)
      10'd0:   rdata_o = soc_pkg::Magic;
      10'd1:   rdata_o = BuildId;
      10'd2:   rdata_o = ClockHz;
      10'd3:   rdata_o = CpuKind;
      10'd4:   rdata_o = RamBytes;
      10'd5:   rdata_o = SimdVersion;
      10'd6:   rdata_o = RamLatency;
      10'd7:   rdata_o = soc_pkg::RamBase;
      10'd8:   rdata_o = count_q;
      10'd9:   rdata_o = {adr_q, 2'b00};
      10'd10:  rdata_o = SimdLanes;
      default: rdata_o = '0;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_q <= '0;
      adr_q   <= '0;
    end else if (valid_i && we_i && adr_i == 10'd8) begin
      count_q <= '0;
      adr_q   <= '0;
    end else if (fault_i) begin
      if (count_q != '1) count_q <= count_q + 32'd1;
      if (count_q == '0) adr_q   <= fault_adr_i;
    end
  end

endmodule
