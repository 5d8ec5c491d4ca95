// Input buffer: beats in, lines out. A read gives the LineBytes bytes from any address on, modulo the buffer's size, three
// cycles later; the byte of address a stands at position a modulo LineBytes (the gather rotates it to its place).
// Even and odd lines lie in two banks, a bank in one memory for each beat of a line. A byte that is written while it
// is read has no defined value.
module bf_ibuf #(
  parameter int unsigned LineBytes = 64,             // power of two
  parameter int unsigned IbufBytes = 32 * 1024,      // power of two, 4 lines and more
  parameter int unsigned BusBits   = 256,            // at most a line
  localparam int unsigned AddrW = $clog2(IbufBytes)
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,

  input  logic                   we_i,
  input  logic [31:0]            waddr_i,            // beat
  input  logic [BusBits-1:0]     wdata_i,

  input  logic                   re_i,
  input  logic [AddrW-1:0]       raddr_i,            // byte
  output logic [8*LineBytes-1:0] rdata_o
);

  localparam int unsigned Beats   = 8 * LineBytes / BusBits;       // of a line
  localparam int unsigned OffsetW = $clog2(LineBytes);
  localparam int unsigned BeatW   = $clog2(Beats);
  localparam int unsigned IndexW  = AddrW - OffsetW - 1;           // line of a bank

  // Cycle 1: lines. A read at an odd line takes the following even one, one further.
  logic [1:0]             valid_q;
  logic [IndexW-1:0]      index_q [2];
  logic [OffsetW-1:0]     offset_q;
  logic                   odd_q;
  // Cycle 2: words of the banks, and which bank a byte comes from
  logic [8*LineBytes-1:0] word [2];
  logic [LineBytes-1:0]   from_odd_q;
  logic [8*LineBytes-1:0] line, line_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else         valid_q <= {valid_q[0], re_i};
  end

  always_ff @(posedge clk_i) begin
    if (re_i) begin
      index_q[0] <= raddr_i[AddrW-1:OffsetW+1] + IndexW'(raddr_i[OffsetW]);
      index_q[1] <= raddr_i[AddrW-1:OffsetW+1];
      offset_q   <= raddr_i[OffsetW-1:0];
      odd_q      <= raddr_i[OffsetW];
    end
    if (valid_q[0]) from_odd_q <= {LineBytes{~odd_q}} ^ ({LineBytes{1'b1}} << offset_q);
    if (valid_q[1]) line_q <= line;
  end

  for (genvar i = 0; i < LineBytes; i++) begin : gen_byte
    assign line[8*i +: 8] = from_odd_q[i] ? word[1][8*i +: 8] : word[0][8*i +: 8];
  end
  assign rdata_o = line_q;

  for (genvar bank = 0; bank < 2; bank++) begin : gen_bank
    for (genvar beat = 0; beat < Beats; beat++) begin : gen_beat
      (* no_rw_check *) logic [BusBits-1:0] mem [2 ** IndexW];
      logic [BusBits-1:0] word_q;
      logic               write;
      if (Beats == 1) begin : gen_whole
        assign write = we_i & (waddr_i[0] == 1'(bank));
      end else begin : gen_part
        assign write = we_i & (waddr_i[BeatW] == 1'(bank)) & (waddr_i[BeatW-1:0] == BeatW'(beat));
      end
      always_ff @(posedge clk_i) begin
        if (write) mem[waddr_i[BeatW+1 +: IndexW]] <= wdata_i;
        if (valid_q[0]) word_q <= mem[index_q[bank]];
      end
      assign word[bank][BusBits*beat +: BusBits] = word_q;
    end
  end

  logic unused;
  assign unused = ^waddr_i;

endmodule
