// Everything of rtl/common in one bench, so that it is compiled once: the parts are not connected to each other, but for
// the RAM behind the arbiter.
module common_bench (
  input  logic             clk_i,
  input  logic             rst_ni,

  input  logic             fifo_push_i,
  input  logic [7:0]       fifo_data_i,
  output logic             fifo_full_o,
  input  logic             fifo_pop_i,
  output logic             fifo_valid_o,
  output logic [7:0]       fifo_data_o,

  input  logic [15:0]      divisor_i,
  input  logic             tx_valid_i,
  output logic             tx_ready_o,
  input  logic [7:0]       tx_data_i,
  output logic             tx_o,
  input  logic             rx_i,
  output logic             rx_valid_o,
  output logic [7:0]       rx_data_o,
  output logic             rx_framing_error_o,

  // RAMs of 256 words with 0, 1 and 3 wait states, one bit of cyc and ack each.
  input  logic [2:0]       ram_cyc_i,
  input  logic             ram_stb_i,
  input  logic             ram_we_i,
  input  logic [7:0]       ram_adr_i,
  input  logic [31:0]      ram_wdata_i,
  input  logic [3:0]       ram_sel_i,
  input  logic [2:0]       ram_cti_i,
  output logic [2:0]       ram_ack_o,
  output logic [2:0][31:0] ram_rdata_o,
  input  logic [2:0]       port_req_i,
  input  logic             port_we_i,
  input  logic [3:0]       port_be_i,
  input  logic [7:0]       port_adr_i,
  input  logic [31:0]      port_wdata_i,
  output logic [2:0]       port_gnt_o,
  output logic [2:0]       port_rvalid_o,
  output logic [2:0][31:0] port_rdata_o,

  // Two masters on a RAM of 256 words with 2 wait states; addresses from 256 on answer an error.
  input  logic             m0_cyc_i,
  input  logic             m0_stb_i,
  input  logic             m0_we_i,
  input  logic [31:2]      m0_adr_i,
  input  logic [31:0]      m0_wdata_i,
  input  logic [3:0]       m0_sel_i,
  input  logic [2:0]       m0_cti_i,
  output logic             m0_ack_o,
  output logic             m0_err_o,
  input  logic             m1_cyc_i,
  input  logic             m1_stb_i,
  input  logic             m1_we_i,
  input  logic [31:2]      m1_adr_i,
  input  logic [31:0]      m1_wdata_i,
  input  logic [3:0]       m1_sel_i,
  input  logic [2:0]       m1_cti_i,
  output logic             m1_ack_o,
  output logic             m1_err_o,
  output logic [31:0]      shared_rdata_o,
  output logic             owner_o,
  output logic             shared_cyc_o,
  output logic [2:0]       shared_cti_o
);

  fifo #(.Width(8), .Depth(16)) u_fifo (
    .clk_i,
    .rst_ni,
    .push_i  (fifo_push_i),
    .data_i  (fifo_data_i),
    .full_o  (fifo_full_o),
    .pop_i   (fifo_pop_i),
    .valid_o (fifo_valid_o),
    .data_o  (fifo_data_o)
  );

  uart_tx u_tx (
    .clk_i,
    .rst_ni,
    .divisor_i,
    .valid_i (tx_valid_i),
    .ready_o (tx_ready_o),
    .data_i  (tx_data_i),
    .tx_o
  );

  uart_rx u_rx (
    .clk_i,
    .rst_ni,
    .divisor_i,
    .rx_i,
    .valid_o         (rx_valid_o),
    .data_o          (rx_data_o),
    .framing_error_o (rx_framing_error_o)
  );

  localparam int unsigned Latency [3] = '{0, 1, 3};
  for (genvar i = 0; i < 3; i++) begin : gen_ram
    dual_port_ram #(.Bytes(1024), .Latency(Latency[i])) u_ram (
      .clk_i,
      .rst_ni,
      .cyc_i       (ram_cyc_i[i]),
      .stb_i       (ram_stb_i),
      .we_i        (ram_we_i),
      .adr_i       (ram_adr_i),
      .wdata_i     (ram_wdata_i),
      .sel_i       (ram_sel_i),
      .cti_i       (ram_cti_i),
      .ack_o       (ram_ack_o[i]),
      .rdata_o     (ram_rdata_o[i]),
      .req_i       (port_req_i[i]),
      .req_we_i    (port_we_i),
      .req_be_i    (port_be_i),
      .req_adr_i   (port_adr_i),
      .req_wdata_i (port_wdata_i),
      .gnt_o       (port_gnt_o[i]),
      .rvalid_o    (port_rvalid_o[i]),
      .rsp_rdata_o (port_rdata_o[i])
    );
  end

  logic        cyc, stb, we, ack, in_ram;
  logic [31:2] adr;
  logic [31:0] wdata;
  logic [3:0]  sel;
  logic [2:0]  cti;

  assign in_ram       = adr[31:10] == '0;
  assign shared_cyc_o = cyc;
  assign shared_cti_o = cti;

  wb_arbiter u_arbiter (
    .clk_i,
    .rst_ni,
    .m0_cyc_i,
    .m0_stb_i,
    .m0_we_i,
    .m0_adr_i,
    .m0_wdata_i,
    .m0_sel_i,
    .m0_cti_i,
    .m0_ack_o,
    .m0_err_o,
    .m1_cyc_i,
    .m1_stb_i,
    .m1_we_i,
    .m1_adr_i,
    .m1_wdata_i,
    .m1_sel_i,
    .m1_cti_i,
    .m1_ack_o,
    .m1_err_o,
    .owner_o,
    .s_cyc_o   (cyc),
    .s_stb_o   (stb),
    .s_we_o    (we),
    .s_adr_o   (adr),
    .s_wdata_o (wdata),
    .s_sel_o   (sel),
    .s_cti_o   (cti),
    .s_ack_i   (ack & in_ram),
    .s_err_i   (cyc & stb & ~in_ram)
  );

  logic        shared_gnt, shared_rvalid, unused_port;
  logic [31:0] shared_port_rdata;
  assign unused_port = ^{shared_gnt, shared_rvalid, shared_port_rdata};

  dual_port_ram #(.Bytes(1024), .Latency(2)) u_shared_ram (
    .clk_i,
    .rst_ni,
    .cyc_i       (cyc & in_ram),
    .stb_i       (stb),
    .we_i        (we),
    .adr_i       (adr[9:2]),
    .wdata_i     (wdata),
    .sel_i       (sel),
    .cti_i       (cti),
    .ack_o       (ack),
    .rdata_o     (shared_rdata_o),
    .req_i       (1'b0),
    .req_we_i    (1'b0),
    .req_be_i    (4'd0),
    .req_adr_i   (8'd0),
    .req_wdata_i (32'd0),
    .gnt_o       (shared_gnt),
    .rvalid_o    (shared_rvalid),
    .rsp_rdata_o (shared_port_rdata)
  );

endmodule
