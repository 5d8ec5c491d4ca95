// bf_top with the port names that cocotbext-axi looks for, and a monitor of its AXI4 master: what is offered stays until it is taken,
// and every burst lies in the window and within 4 KiB.
module control_bench #(
  parameter int unsigned Rows       = 4,
  parameter int unsigned Cols       = 4,
  parameter int unsigned BusBits    = 64,
  parameter int unsigned IbufBytes  = 4096,
  parameter int unsigned WbufBytes  = 4096,
  parameter int unsigned ObufBytes  = 4096,
  parameter int unsigned PatchDepth = 16,
  parameter int unsigned ParamDepth = 16
) (
  input  logic                 clk,
  input  logic                 rst,
  output logic                 busy,
  input  logic                        s_axil_awvalid,
  output logic                        s_axil_awready,
  input  logic [15:0]                s_axil_awaddr,
  input  logic                        s_axil_wvalid,
  output logic                        s_axil_wready,
  input  logic [31:0]                s_axil_wdata,
  input  logic [3:0]                 s_axil_wstrb,
  output logic                        s_axil_bvalid,
  input  logic                        s_axil_bready,
  output logic [1:0]                 s_axil_bresp,
  input  logic                        s_axil_arvalid,
  output logic                        s_axil_arready,
  input  logic [15:0]                s_axil_araddr,
  output logic                        s_axil_rvalid,
  input  logic                        s_axil_rready,
  output logic [31:0]                s_axil_rdata,
  output logic [1:0]                 s_axil_rresp,
  output logic                        m_axi_awvalid,
  input  logic                        m_axi_awready,
  output logic [3:0]                 m_axi_awid,
  output logic [31:0]                m_axi_awaddr,
  output logic [7:0]                 m_axi_awlen,
  output logic [2:0]                 m_axi_awsize,
  output logic [1:0]                 m_axi_awburst,
  output logic                        m_axi_wvalid,
  input  logic                        m_axi_wready,
  output logic [BusBits-1:0]         m_axi_wdata,
  output logic [BusBits/8-1:0]       m_axi_wstrb,
  output logic                        m_axi_wlast,
  input  logic                        m_axi_bvalid,
  output logic                        m_axi_bready,
  input  logic [3:0]                 m_axi_bid,
  input  logic [1:0]                 m_axi_bresp,
  output logic                        m_axi_arvalid,
  input  logic                        m_axi_arready,
  output logic [3:0]                 m_axi_arid,
  output logic [31:0]                m_axi_araddr,
  output logic [7:0]                 m_axi_arlen,
  output logic [2:0]                 m_axi_arsize,
  output logic [1:0]                 m_axi_arburst,
  input  logic                        m_axi_rvalid,
  output logic                        m_axi_rready,
  input  logic [3:0]                 m_axi_rid,
  input  logic [BusBits-1:0]         m_axi_rdata,
  input  logic [1:0]                 m_axi_rresp,
  input  logic                        m_axi_rlast
);

  bf_top #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth), .Build(bf_pkg::BuildFunctional)
  ) u_top (
    .clk_i(clk),
    .rst_ni(~rst),
    .busy_o(busy),
    .s_axil_awvalid_i(s_axil_awvalid),
    .s_axil_awready_o(s_axil_awready),
    .s_axil_awaddr_i(s_axil_awaddr),
    .s_axil_wvalid_i(s_axil_wvalid),
    .s_axil_wready_o(s_axil_wready),
    .s_axil_wdata_i(s_axil_wdata),
    .s_axil_wstrb_i(s_axil_wstrb),
    .s_axil_bvalid_o(s_axil_bvalid),
    .s_axil_bready_i(s_axil_bready),
    .s_axil_bresp_o(s_axil_bresp),
    .s_axil_arvalid_i(s_axil_arvalid),
    .s_axil_arready_o(s_axil_arready),
    .s_axil_araddr_i(s_axil_araddr),
    .s_axil_rvalid_o(s_axil_rvalid),
    .s_axil_rready_i(s_axil_rready),
    .s_axil_rdata_o(s_axil_rdata),
    .s_axil_rresp_o(s_axil_rresp),
    .m_axi_awvalid_o(m_axi_awvalid),
    .m_axi_awready_i(m_axi_awready),
    .m_axi_awid_o(m_axi_awid),
    .m_axi_awaddr_o(m_axi_awaddr),
    .m_axi_awlen_o(m_axi_awlen),
    .m_axi_awsize_o(m_axi_awsize),
    .m_axi_awburst_o(m_axi_awburst),
    .m_axi_wvalid_o(m_axi_wvalid),
    .m_axi_wready_i(m_axi_wready),
    .m_axi_wdata_o(m_axi_wdata),
    .m_axi_wstrb_o(m_axi_wstrb),
    .m_axi_wlast_o(m_axi_wlast),
    .m_axi_bvalid_i(m_axi_bvalid),
    .m_axi_bready_o(m_axi_bready),
    .m_axi_bid_i(m_axi_bid),
    .m_axi_bresp_i(m_axi_bresp),
    .m_axi_arvalid_o(m_axi_arvalid),
    .m_axi_arready_i(m_axi_arready),
    .m_axi_arid_o(m_axi_arid),
    .m_axi_araddr_o(m_axi_araddr),
    .m_axi_arlen_o(m_axi_arlen),
    .m_axi_arsize_o(m_axi_arsize),
    .m_axi_arburst_o(m_axi_arburst),
    .m_axi_rvalid_i(m_axi_rvalid),
    .m_axi_rready_o(m_axi_rready),
    .m_axi_rid_i(m_axi_rid),
    .m_axi_rdata_i(m_axi_rdata),
    .m_axi_rresp_i(m_axi_rresp),
    .m_axi_rlast_i(m_axi_rlast)
  );

  // Window: the registers that were written last
  logic [31:0] window_base, window_bytes;
  always_ff @(posedge clk) begin
    if (s_axil_awvalid && s_axil_awready && s_axil_awaddr == 16'h010) window_base <= s_axil_wdata;
    if (s_axil_awvalid && s_axil_awready && s_axil_awaddr == 16'h014) window_bytes <= s_axil_wdata;
  end

  function automatic logic legal(logic [31:0] address, logic [7:0] length, logic [2:0] size, logic [1:0] burst);
    logic [32:0] last;
    last = 33'(address) + ((33'(length) + 33'd1) << $clog2(BusBits / 8)) - 33'd1;
    return address >= window_base && last < 33'(window_base) + 33'(window_bytes) && last[32:12] == {1'b0, address[31:12]} &&
           32'(address % (BusBits / 8)) == 0 && 32'(size) == $clog2(BusBits / 8) && burst == 2'b01;
  endfunction

  logic        ar_held, aw_held, w_held;
  logic [48:0] ar_now, ar_was, aw_now, aw_was;
  logic [BusBits + BusBits/8:0] w_now, w_was;
  assign ar_now = {m_axi_araddr, m_axi_arlen, m_axi_arid, m_axi_arsize, m_axi_arburst};
  assign aw_now = {m_axi_awaddr, m_axi_awlen, m_axi_awid, m_axi_awsize, m_axi_awburst};
  assign w_now  = {m_axi_wdata, m_axi_wstrb, m_axi_wlast};
  always_ff @(posedge clk) begin
    ar_held <= m_axi_arvalid & ~m_axi_arready & ~rst;
    aw_held <= m_axi_awvalid & ~m_axi_awready & ~rst;
    w_held  <= m_axi_wvalid & ~m_axi_wready & ~rst;
    ar_was  <= ar_now;
    aw_was  <= aw_now;
    w_was   <= w_now;
    if (!rst) begin
      if (ar_held && (!m_axi_arvalid || ar_now != ar_was)) $error("read request changed");
      if (aw_held && (!m_axi_awvalid || aw_now != aw_was)) $error("write request changed");
      if (w_held && (!m_axi_wvalid || w_now != w_was)) $error("write data changed");
      if (m_axi_arvalid && !legal(m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst)) $error("read at %h", m_axi_araddr);
      if (m_axi_awvalid && !legal(m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst)) $error("write at %h", m_axi_awaddr);
    end
  end

endmodule
