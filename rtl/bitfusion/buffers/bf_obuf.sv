// OBUF: partial sums of all columns, an entry a result. A read of the entry that is being
// written finds anything: the accumulators have it.
module bf_obuf #(
  parameter int unsigned Cols    = 32,
  parameter int unsigned Entries = 128      // power of two
) (
  input  logic                       clk_i,
  input  logic                       we_i,
  input  logic [$clog2(Entries)-1:0] write_entry_i,
  input  logic [32*Cols-1:0]         data_i,
  input  logic                       re_i,
  input  logic [$clog2(Entries)-1:0] read_entry_i,
  output logic [32*Cols-1:0]         data_o         // in the next cycle
);

  (* no_rw_check *) logic [32*Cols-1:0] mem [Entries];
  logic [32*Cols-1:0] data_q;

  always_ff @(posedge clk_i) begin
    if (we_i) mem[write_entry_i] <= data_i;
    if (re_i) data_q <= mem[read_entry_i];
  end

  assign data_o = data_q;

endmodule
