// First-in first-out buffer: the oldest element stands on data_o while valid_o.
// A push into a full FIFO and a pop from an empty one do nothing.
module fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16    // power of two, at least 2
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             push_i,
  input  logic [Width-1:0] data_i,
  output logic             full_o,
  input  logic             pop_i,
  output logic             valid_o,
  output logic [Width-1:0] data_o
);

  localparam int unsigned PtrWidth = $clog2(Depth);

  // One bit more than an address: equal pointers are empty, equal addresses with unequal wrap bits are full.
  logic [PtrWidth:0] write_q, read_q;
  logic [Width-1:0]  mem [Depth];
  logic              push, pop;

  assign valid_o = write_q != read_q;
  assign full_o  = write_q == {~read_q[PtrWidth], read_q[PtrWidth-1:0]};
  assign data_o  = mem[read_q[PtrWidth-1:0]];
  assign push    = push_i & ~full_o;
  assign pop     = pop_i & valid_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
    end else begin
      if (push) write_q <= write_q + 1'b1;
      if (pop)  read_q  <= read_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) mem[write_q[PtrWidth-1:0]] <= data_i;
  end

endmodule
