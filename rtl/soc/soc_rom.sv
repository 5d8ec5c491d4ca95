// Boot ROM, no wait states. Contents: the $readmemh file (32-bit words) named by the plusarg +boot_rom=FILE;
// words that the file leaves out are 0, which is an illegal instruction.
module soc_rom #(
  parameter int unsigned Bytes = 16 * 1024
) (
  input  logic [$clog2(Bytes/4)-1:0] adr_i,     // words
  output logic [31:0]                rdata_o
);

  logic [31:0] mem [Bytes/4];

  assign rdata_o = mem[adr_i];

  initial begin
    string file;
    for (int i = 0; i < Bytes / 4; i++) mem[i] = '0;
    if ($value$plusargs("boot_rom=%s", file) != 0) $readmemh(file, mem);
  end

endmodule
