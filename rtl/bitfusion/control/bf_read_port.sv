// AXI4 read channels shared by instruction fetch and load unit. Fetch goes first; each has an ID, and each has room for what it asked for.
module bf_read_port
  import bf_control_pkg::*;
#(
  parameter int unsigned BusBits = 256
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  input  logic               fetch_valid_i,
  output logic               fetch_ready_o,
  input  logic [31:0]        fetch_addr_i,
  input  logic [7:0]         fetch_len_i,
  output logic               fetch_beat_o,

  input  logic               load_valid_i,
  output logic               load_ready_o,
  input  logic [31:0]        load_addr_i,
  input  logic [7:0]         load_len_i,
  output logic               load_beat_o,      // offered
  input  logic               load_beat_ready_i,

  output logic               beat_o,           // one was received, of either
  output logic               bus_error_o,      // and its response was not OKAY
  output logic               bus_fetch_o,      // it was the fetch's

  output logic               m_axi_arvalid_o,
  input  logic               m_axi_arready_i,
  output logic [3:0]         m_axi_arid_o,
  output logic [31:0]        m_axi_araddr_o,
  output logic [7:0]         m_axi_arlen_o,
  output logic [2:0]         m_axi_arsize_o,
  output logic [1:0]         m_axi_arburst_o,
  input  logic               m_axi_rvalid_i,
  output logic               m_axi_rready_o,
  input  logic [3:0]         m_axi_rid_i,
  input  logic [1:0]         m_axi_rresp_i
);

  // A request that was put up stays until it is taken.
  logic lock_q, select_fetch_q, select_fetch, is_fetch;

  assign select_fetch = lock_q ? select_fetch_q : fetch_valid_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      lock_q         <= 1'b0;
      select_fetch_q <= 1'b0;
    end else begin
      lock_q         <= m_axi_arvalid_o & ~m_axi_arready_i;
      select_fetch_q <= select_fetch;
    end
  end

  assign m_axi_arvalid_o = fetch_valid_i | load_valid_i;
  assign m_axi_arid_o    = select_fetch ? IdFetch : IdLoad;
  assign m_axi_araddr_o  = select_fetch ? fetch_addr_i : load_addr_i;
  assign m_axi_arlen_o   = select_fetch ? fetch_len_i : load_len_i;
  assign m_axi_arsize_o  = 3'($clog2(BusBits / 8));
  assign m_axi_arburst_o = 2'b01;
  assign fetch_ready_o   = select_fetch & m_axi_arready_i;
  assign load_ready_o    = ~select_fetch & m_axi_arready_i;

  assign is_fetch       = m_axi_rid_i == IdFetch;
  assign m_axi_rready_o = is_fetch | load_beat_ready_i;
  assign fetch_beat_o   = m_axi_rvalid_i & is_fetch;
  assign load_beat_o    = m_axi_rvalid_i & ~is_fetch;
  assign beat_o         = m_axi_rvalid_i & m_axi_rready_o;
  assign bus_error_o    = beat_o & (m_axi_rresp_i != 2'b00);
  assign bus_fetch_o    = is_fetch;

endmodule
