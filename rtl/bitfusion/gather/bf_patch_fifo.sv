// Patch FIFO: chunks of patches, each patch delivered as often as its run says. Space is given back with the last
// delivery, so a patch that is delivered once may be longer than the FIFO.
module bf_patch_fifo
  import bf_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned PatchDepth = 64,        // power of two
  parameter int unsigned Build      = BuildStructural
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,

  input  logic               claim_i,            // a chunk is on its way; there is room for it: the packer counts
  input  logic               claim_last_i,       // of its patch
  input  logic [15:0]        claim_passes_i,     // how often the patch is delivered
  input  logic               write_i,            // the chunk arrives
  input  logic [32*Rows-1:0] write_data_i,
  input  logic [4*Rows-1:0]  write_mask_i,
  output logic               release_o,

  output logic               chunk_valid_o,
  input  logic               chunk_ready_i,
  output logic [32*Rows-1:0] chunk_data_o,
  output logic [4*Rows-1:0]  chunk_mask_o,
  output logic               empty_o
);

  localparam int unsigned PtrW = $clog2(PatchDepth);

  logic [PtrW:0] write_q, read_q, first_q, next;         // first: chunk of the patch that is being delivered
  logic [PtrW-1:0] claim_q;
  logic [15:0]   pass_q;                                 // from 1
  logic          valid_q, read, last_pass;
  logic          last;
  logic [15:0]   passes;
  logic [16:0]   tags [PatchDepth];

  assign {last, passes} = tags[read_q[PtrW-1:0]];
  assign read      = read_q != write_q && (!valid_q || chunk_ready_i);
  assign last_pass = pass_q == passes;
  assign next      = read_q + 1'b1;
  assign release_o = read & last_pass;
  assign empty_o   = ~valid_q & (read_q == write_q);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {write_q, read_q, first_q, claim_q} <= '0;
      pass_q  <= 16'd1;
      valid_q <= 1'b0;
    end else if (clear_i) begin
      {write_q, read_q, first_q, claim_q} <= '0;
      pass_q  <= 16'd1;
      valid_q <= 1'b0;
    end else begin
      if (claim_i) claim_q <= claim_q + 1'b1;
      if (write_i) write_q <= write_q + 1'b1;
      if (read) begin
        read_q <= last && !last_pass ? first_q : next;
        if (last) pass_q <= last_pass ? 16'd1 : pass_q + 16'd1;
        if (last && last_pass) first_q <= next;
      end
      if (!valid_q || chunk_ready_i) valid_q <= read;
    end
  end
  always_ff @(posedge clk_i) if (claim_i) tags[claim_q] <= {claim_last_i, claim_passes_i};

  assign chunk_valid_o = valid_q;

  if (Build != BuildTiming) begin : gen_data
    (* ram_style = "block", no_rw_check *) logic [36*Rows-1:0] mem [PatchDepth];
    logic [36*Rows-1:0] word_q;
    always_ff @(posedge clk_i) begin
      if (write_i) mem[write_q[PtrW-1:0]] <= {write_mask_i, write_data_i};
      if (read)    word_q <= mem[read_q[PtrW-1:0]];
    end
    assign {chunk_mask_o, chunk_data_o} = word_q;
  end else begin : gen_no_data
    logic unused;
    assign unused       = ^{write_mask_i, write_data_i};
    assign chunk_mask_o = '0;
    assign chunk_data_o = '0;
  end

endmodule
