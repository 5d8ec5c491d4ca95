// PBUF: bias, multiplier and shift of every column. A load writes a beat; post-processing reads an entry, not one
// that is being written: semaphores keep them apart.
module bf_pbuf #(
  parameter int unsigned Cols    = 32,
  parameter int unsigned Depth   = 32,
  parameter int unsigned BusBits = 256
) (
  input  logic                     clk_i,
  input  logic                     we_i,
  input  logic [31:0]              addr_i,      // beat
  input  logic [BusBits-1:0]       data_i,
  input  logic                     re_i,
  input  logic [$clog2(Depth)-1:0] entry_i,
  output logic [32*Cols-1:0]       bias_o,      // in the next cycle
  output logic [32*Cols-1:0]       multiplier_o,
  output logic [32*Cols-1:0]       shift_o
);

  localparam int unsigned RowBeats = (32 * Cols + BusBits - 1) / BusBits;
  localparam int unsigned Beats    = 3 * RowBeats;

  localparam int unsigned Width    = $clog2(Beats * Depth + 1);  // of the address, for a short division

  logic [$clog2(Depth)-1:0] write_entry;
  logic [Width-1:0]         bank;
  logic [Beats*BusBits-1:0] data;

  assign write_entry = $clog2(Depth)'(addr_i[Width-1:0] / Width'(Beats));
  assign bank        = addr_i[Width-1:0] % Width'(Beats);

  for (genvar b = 0; b < Beats; b++) begin : gen_bank
    (* no_rw_check *) logic [BusBits-1:0] mem [Depth];
    logic [BusBits-1:0] data_q;
    always_ff @(posedge clk_i) begin
      if (we_i && bank == Width'(b)) mem[write_entry] <= data_i;
      if (re_i) data_q <= mem[entry_i];
    end
    assign data[b*BusBits +: BusBits] = data_q;
  end

  logic unused_addr;
  assign unused_addr = ^addr_i[31:Width];                        // bf_back reports what lies beyond the end

  assign bias_o       = data[32*Cols-1:0];
  assign multiplier_o = data[RowBeats*BusBits +: 32*Cols];
  assign shift_o      = data[2*RowBeats*BusBits +: 32*Cols];

  if (RowBeats * BusBits > 32 * Cols) begin : gen_padding
    logic unused;
    assign unused = ^data;
  end

endmodule
