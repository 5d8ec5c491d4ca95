// A cacheless VexiiRiscv bus (fetch or load/store) to Wishbone.
// A command is on Wishbone for as long as it waits; it is accepted in the cycle of ACK or ERR and answered, in order and
// with its id, in the next. Answers have no ready, so they never wait, and a new command can be accepted in every cycle.
// Writes are answered too. Data and masks are those of the aligned word: the core places sub-words itself.
module vexii_bus_bridge #(
  parameter int unsigned IdWidth = 1
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  input  logic               cmd_valid_i,
  output logic               cmd_ready_o,
  input  logic [IdWidth-1:0] cmd_id_i,
  input  logic               cmd_write_i,
  input  logic [31:0]        cmd_address_i,
  input  logic [31:0]        cmd_data_i,
  input  logic [3:0]         cmd_mask_i,
  output logic               rsp_valid_o,
  output logic [IdWidth-1:0] rsp_id_o,
  output logic               rsp_error_o,
  output logic [31:0]        rsp_data_o,

  output logic               cyc_o,
  output logic               stb_o,
  output logic               we_o,
  output logic [31:2]        adr_o,
  output logic [31:0]        wdata_o,
  output logic [3:0]         sel_o,
  output logic [2:0]         cti_o,
  input  logic               ack_i,
  input  logic               err_i,
  input  logic [31:0]        rdata_i
);

  localparam logic [2:0] CtiSingle = 3'b000;

  logic unused;
  assign unused = ^cmd_address_i[1:0];

  assign cyc_o       = cmd_valid_i;
  assign stb_o       = cmd_valid_i;
  assign we_o        = cmd_write_i;
  assign adr_o       = cmd_address_i[31:2];
  assign wdata_o     = cmd_data_i;
  assign sel_o       = cmd_write_i ? cmd_mask_i : 4'b1111;
  assign cti_o       = CtiSingle;
  assign cmd_ready_o = ack_i | err_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rsp_valid_o <= 1'b0;
      rsp_id_o    <= '0;
      rsp_error_o <= 1'b0;
      rsp_data_o  <= '0;
    end else begin
      rsp_valid_o <= cmd_valid_i & cmd_ready_o;
      rsp_id_o    <= cmd_id_i;
      rsp_error_o <= err_i;
      rsp_data_o  <= rdata_i;
    end
  end

endmodule
