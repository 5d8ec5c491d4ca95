// Memory map and constants of the SoC; README.md has the table with every register.
package soc_pkg;

  localparam logic [31:0] RomBase  = 32'h0000_0000;
  localparam int unsigned RomBytes = 16 * 1024;
  localparam logic [31:0] RamBase  = 32'h4000_0000;
  localparam logic [31:0] RamAlias = 32'hC000_0000;     // the same RAM where VexRiscv does not cache
  localparam logic [31:0] IoBase   = 32'hF000_0000;

  localparam logic [31:0] Magic    = 32'h4F43_494D;    // "MICO"

  // Fillings of the CPU socket, as CPU_KIND in the info block.
  localparam int unsigned CpuVexRiscv   = 1;
  localparam int unsigned CpuVexiiRiscv = 2;

  // The 4 KiB blocks from IoBase.
  localparam int unsigned IoBlocks = 5;
  typedef enum logic [2:0] {
    IoInfo    = 3'd0,
    IoUart    = 3'd1,
    IoTimer   = 3'd2,
    IoGpio    = 3'd3,
    IoProfile = 3'd4
  } io_block_e;

endpackage
