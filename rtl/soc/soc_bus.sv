// The shared bus: arbitrates between instruction and data side, decodes the address, answers errors.
//
// Errors (in the first cycle, without wait states): no device at the address; a write to the boot ROM; a write of less
// than a word to I/O; an instruction fetch from I/O, whose registers change when read.
module soc_bus #(
  parameter int unsigned RamBytes = 4 * 1024 * 1024
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  input  logic                          ibus_cyc_i,
  input  logic                          ibus_stb_i,
  input  logic [31:2]                   ibus_adr_i,
  input  logic [2:0]                    ibus_cti_i,
  output logic                          ibus_ack_o,
  output logic                          ibus_err_o,

  input  logic                          dbus_cyc_i,
  input  logic                          dbus_stb_i,
  input  logic                          dbus_we_i,
  input  logic [31:2]                   dbus_adr_i,
  input  logic [31:0]                   dbus_wdata_i,
  input  logic [3:0]                    dbus_sel_i,
  input  logic [2:0]                    dbus_cti_i,
  output logic                          dbus_ack_o,
  output logic                          dbus_err_o,

  output logic [31:0]                   rdata_o,          // to both sides

  output logic                          rom_valid_o,
  output logic [$clog2(soc_pkg::RomBytes/4)-1:0] rom_adr_o,
  input  logic                          rom_ack_i,
  input  logic [31:0]                   rom_rdata_i,

  output logic                          ram_cyc_o,
  output logic                          ram_stb_o,
  output logic                          ram_we_o,
  output logic [$clog2(RamBytes/4)-1:0] ram_adr_o,
  output logic [31:0]                   ram_wdata_o,
  output logic [3:0]                    ram_sel_o,
  output logic [2:0]                    ram_cti_o,
  input  logic                          ram_ack_i,
  input  logic [31:0]                   ram_rdata_i,

  output logic [soc_pkg::IoBlocks-1:0]  io_valid_o,       // per block of soc_pkg::io_block_e: an access, over in this cycle
  output logic                          io_we_o,
  output logic [11:2]                   io_adr_o,
  output logic [31:0]                   io_wdata_o,
  input  logic [soc_pkg::IoBlocks-1:0][31:0] io_rdata_i,

  output logic                          fault_o,          // the data side meets an error in this cycle
  output logic [31:2]                   fault_adr_o
);

  import soc_pkg::*;

  localparam int unsigned RamWords = RamBytes / 4;

  logic        owner, cyc, stb, we, ack, err;
  logic [31:2] adr;
  logic [31:0] wdata;
  logic [3:0]  sel;
  logic [2:0]  cti;
  logic        in_rom, in_ram, in_io, active, io_legal;
  logic [2:0]  io_block;

  wb_arbiter u_arbiter (
    .clk_i,
    .rst_ni,
    .m0_cyc_i   (ibus_cyc_i),
    .m0_stb_i   (ibus_stb_i),
    .m0_we_i    (1'b0),
    .m0_adr_i   (ibus_adr_i),
    .m0_wdata_i (32'd0),
    .m0_sel_i   (4'b1111),
    .m0_cti_i   (ibus_cti_i),
    .m0_ack_o   (ibus_ack_o),
    .m0_err_o   (ibus_err_o),
    .m1_cyc_i   (dbus_cyc_i),
    .m1_stb_i   (dbus_stb_i),
    .m1_we_i    (dbus_we_i),
    .m1_adr_i   (dbus_adr_i),
    .m1_wdata_i (dbus_wdata_i),
    .m1_sel_i   (dbus_sel_i),
    .m1_cti_i   (dbus_cti_i),
    .m1_ack_o   (dbus_ack_o),
    .m1_err_o   (dbus_err_o),
    .owner_o    (owner),
    .s_cyc_o    (cyc),
    .s_stb_o    (stb),
    .s_we_o     (we),
    .s_adr_o    (adr),
    .s_wdata_o  (wdata),
    .s_sel_o    (sel),
    .s_cti_o    (cti),
    .s_ack_i    (ack),
    .s_err_i    (err)
  );

  assign active   = cyc & stb;
  assign in_rom   = adr[31:$clog2(RomBytes)] == RomBase[31:$clog2(RomBytes)];
  assign in_ram   = (adr[31:28] == RamBase[31:28] || adr[31:28] == RamAlias[31:28]) && 32'(adr[27:2]) < 32'(RamWords);
  assign in_io    = (adr[31:15] == IoBase[31:15]) && (32'(io_block) < IoBlocks);
  assign io_block = adr[14:12];
  assign io_legal = in_io & owner & ~(we & (sel != 4'b1111));

  assign rom_valid_o = active & in_rom & ~we;
  assign rom_adr_o   = adr[$clog2(RomBytes)-1:2];

  assign ram_cyc_o   = cyc & in_ram;
  assign ram_stb_o   = stb;
  assign ram_we_o    = we;
  assign ram_adr_o   = adr[$clog2(RamBytes/4)+1:2];
  assign ram_wdata_o = wdata;
  assign ram_sel_o   = sel;
  assign ram_cti_o   = cti;

  assign io_we_o    = we;
  assign io_adr_o   = adr[11:2];
  assign io_wdata_o = wdata;
  always_comb begin
    io_valid_o = '0;
    for (int unsigned i = 0; i < IoBlocks; i++) begin
      if (io_block == 3'(i)) io_valid_o[i] = active & io_legal;
    end
  end

  always_comb begin
    ack     = 1'b0;
    rdata_o = '0;
    if (in_ram) begin
      ack     = ram_ack_i;
      rdata_o = ram_rdata_i;
    end else if (in_rom) begin
      ack     = rom_ack_i;
      rdata_o = rom_rdata_i;
    end else if (io_legal) begin
      ack     = active;
      rdata_o = io_rdata_i[io_block];
    end
  end

  assign err         = active & ~in_ram & ~(in_rom & ~we) & ~io_legal;
  assign fault_o     = err & owner;
  assign fault_adr_o = adr;

endmodule
