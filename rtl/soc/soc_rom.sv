// Boot ROM. Contents: a $readmemh file of 32-bit words; in a simulator the one named by the plusarg +boot_rom=FILE, in synthesis
// InitFile. Words that the file leaves out are 0, which is an illegal instruction.
module soc_rom #(
  parameter int unsigned Bytes    = 16 * 1024,
  parameter bit          Wait     = 1'b0,       // 1: one wait state, the read is registered: block RAM
  parameter              InitFile = ""          // of synthesis
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic                       valid_i,   // a read, held until it is answered
  input  logic [$clog2(Bytes/4)-1:0] adr_i,     // words
  output logic                       ack_o,
  output logic [31:0]                rdata_o
);

  logic [31:0] mem [Bytes/4];

  if (Wait) begin : gen_wait
    logic        ready_q;
    logic [31:0] word_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) ready_q <= 1'b0;
      else         ready_q <= valid_i & ~ready_q;
    end
    always_ff @(posedge clk_i) word_q <= mem[adr_i];
    assign ack_o   = valid_i & ready_q;
    assign rdata_o = word_q;
  end else begin : gen_immediate
    logic unused;
    assign unused  = ^{clk_i, rst_ni};
    assign ack_o   = valid_i;
    assign rdata_o = mem[adr_i];
  end

`ifdef SYNTHESIS
  if (InitFile != "") begin : gen_init
    initial $readmemh(InitFile, mem);
  end
`else
  initial begin
    string file;
    for (int i = 0; i < Bytes / 4; i++) mem[i] = '0;
    if ($value$plusargs("boot_rom=%s", file) != 0) $readmemh(file, mem);
    else if (InitFile != "") $readmemh(InitFile, mem);
  end
`endif

endmodule
