// WBUF: a word of 32 bits for every unit in a row. A load writes a beat, the array reads a row; both in the same cycle.
// A row lies in beats, the last one padded. Of a row that is being written a read finds anything: semaphores keep them apart.
module bf_wbuf #(
  parameter int unsigned RowBits = 32 * 16 * 32,    // N * M words
  parameter int unsigned Rows    = 32,              // power of two
  parameter int unsigned BusBits = 256
) (
  input  logic                    clk_i,
  input  logic                    we_i,
  input  logic [31:0]             addr_i,           // beat
  input  logic [BusBits-1:0]      data_i,
  input  logic                    re_i,
  input  logic [$clog2(Rows)-1:0] row_i,
  output logic [RowBits-1:0]      data_o            // in the next cycle, until the next read
);

  localparam int unsigned Beats = (RowBits + BusBits - 1) / BusBits;

  localparam int unsigned Width = $clog2(Beats * Rows + 1);      // of the address, for a short division

  logic [$clog2(Rows)-1:0]  write_row;
  logic [Width-1:0]         bank;
  logic [Beats*BusBits-1:0] data;

  assign write_row = $clog2(Rows)'(addr_i[Width-1:0] / Width'(Beats));
  assign bank      = addr_i[Width-1:0] % Width'(Beats);

  for (genvar b = 0; b < Beats; b++) begin : gen_bank
    (* no_rw_check *) logic [BusBits-1:0] mem [Rows];
    logic [BusBits-1:0] data_q;
    always_ff @(posedge clk_i) begin
      if (we_i && bank == Width'(b)) mem[write_row] <= data_i;
      if (re_i) data_q <= mem[row_i];
    end
    assign data[b*BusBits +: BusBits] = data_q;
  end

  assign data_o = data[RowBits-1:0];
  logic unused_addr;
  assign unused_addr = ^addr_i[31:Width];                        // bf_back reports what lies beyond the end
  if (Beats * BusBits > RowBits) begin : gen_padding
    logic unused;
    assign unused = ^data[Beats*BusBits-1:RowBits];
  end

endmodule
