// The accelerator on an ECP5 with a memory of its own. A host reaches registers and memory through four pins in step with the
// clock: while select_i is high a bit goes in and a bit comes out each cycle, lowest first. In: 32 bits data, 16 bits address (of a
// byte in registers, of a word in memory), 2 bits command. It is carried out when select_i falls. Out: 1 bit done, 2 bits AXI
// response, 32 bits data, of the command before.
module ecp5_array #(
  parameter int unsigned Rows       = 4,
  parameter int unsigned Cols       = 4,
  parameter int unsigned BusBits    = 64,
  parameter int unsigned IbufBytes  = 16 * 1024,
  parameter int unsigned WbufBytes  = 32 * 1024,
  parameter int unsigned ObufBytes  = 8 * 1024,
  parameter int unsigned PatchDepth = 64,
  parameter int unsigned ParamDepth = 32,
  parameter int unsigned MemBytes   = 64 * 1024
) (
  input  logic clk_i,
  input  logic rst_ni,      // button, asynchronous
  input  logic select_i,
  input  logic data_i,
  output logic data_o,
  output logic busy_o
);

  typedef enum logic [1:0] {
    RegRead  = 2'd0,
    RegWrite = 2'd1,
    MemRead  = 2'd2,
    MemWrite = 2'd3
  } command_e;

  typedef struct packed {
    command_e    command;
    logic [15:0] address;
    logic [31:0] data;
  } frame_t;

  typedef struct packed {
    logic [31:0] data;
    logic [1:0]  resp;
    logic        done;
  } answer_t;

  // Reset ends with the clock.
  logic reset_q, rst_n;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {rst_n, reset_q} <= '0;
    else         {rst_n, reset_q} <= {reset_q, 1'b1};
  end

  // Host
  frame_t  frame_q;
  answer_t answer_q;
  logic    select_q, before_q, data_q, busy, busy_q, request_q, wait_q;
  logic    is_memory, is_write, taken, done;
  logic    awready, wready, bvalid, arready, rvalid, mem_ready, mem_valid;
  logic [31:0] rdata, mem_data;
  logic [1:0]  bresp, rresp;

  assign is_memory = frame_q.command inside {MemRead, MemWrite};
  assign is_write  = frame_q.command inside {RegWrite, MemWrite};
  always_comb begin
    unique case (frame_q.command)
      RegRead:  {taken, done} = {arready, rvalid};
      RegWrite: {taken, done} = {awready & wready, bvalid};
      MemRead:  {taken, done} = {mem_ready, mem_valid};
      default:  {taken, done} = {mem_ready, wait_q};
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_n) begin
    if (!rst_n) begin
      select_q  <= 1'b0;
      before_q  <= 1'b0;
      data_q    <= 1'b0;
      busy_q    <= 1'b0;
      request_q <= 1'b0;
      wait_q    <= 1'b0;
      frame_q   <= '0;
      answer_q  <= '0;
    end else begin
      select_q <= select_i;
      before_q <= select_q;
      data_q   <= data_i;
      busy_q   <= busy;
      if (select_q) begin
        frame_q  <= frame_t'({data_q, frame_q[$bits(frame_t)-1:1]});
        answer_q <= answer_t'({1'b0, answer_q[$bits(answer_t)-1:1]});
      end else if (before_q) begin
        request_q     <= 1'b1;
        answer_q.done <= 1'b0;
      end else if (request_q) begin
        if (taken) begin
          request_q <= 1'b0;
          wait_q    <= 1'b1;
        end
      end else if (wait_q && done) begin
        wait_q   <= 1'b0;
        answer_q <= '{done: 1'b1, resp: is_memory ? 2'b00 : is_write ? bresp : rresp, data: is_memory ? mem_data : rdata};
      end
    end
  end
  assign data_o = answer_q[0];
  assign busy_o = busy_q;

  // Accelerator and memory
  logic                 m_awvalid, m_awready, m_wvalid, m_wready, m_wlast, m_bvalid, m_bready;
  logic                 m_arvalid, m_arready, m_rvalid, m_rready, m_rlast;
  logic [3:0]           m_awid, m_bid, m_arid, m_rid;
  logic [31:0]          m_awaddr, m_araddr;
  logic [7:0]           m_awlen, m_arlen;
  logic [2:0]           m_awsize, m_arsize;
  logic [1:0]           m_awburst, m_arburst;
  logic [BusBits-1:0]   m_wdata, m_rdata;
  logic [BusBits/8-1:0] m_wstrb;

  bf_top #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth), .Build(bf_pkg::BuildStructural)
  ) u_top (
    .clk_i,
    .rst_ni          (rst_n),
    .s_axil_awvalid_i(request_q & (frame_q.command == RegWrite)),
    .s_axil_awready_o(awready),
    .s_axil_awaddr_i (frame_q.address),
    .s_axil_wvalid_i (request_q & (frame_q.command == RegWrite)),
    .s_axil_wready_o (wready),
    .s_axil_wdata_i  (frame_q.data),
    .s_axil_wstrb_i  (4'b1111),
    .s_axil_bvalid_o (bvalid),
    .s_axil_bready_i (1'b1),
    .s_axil_bresp_o  (bresp),
    .s_axil_arvalid_i(request_q & (frame_q.command == RegRead)),
    .s_axil_arready_o(arready),
    .s_axil_araddr_i (frame_q.address),
    .s_axil_rvalid_o (rvalid),
    .s_axil_rready_i (1'b1),
    .s_axil_rdata_o  (rdata),
    .s_axil_rresp_o  (rresp),
    .busy_o          (busy),
    .m_axi_awvalid_o (m_awvalid),
    .m_axi_awready_i (m_awready),
    .m_axi_awid_o    (m_awid),
    .m_axi_awaddr_o  (m_awaddr),
    .m_axi_awlen_o   (m_awlen),
    .m_axi_awsize_o  (m_awsize),
    .m_axi_awburst_o (m_awburst),
    .m_axi_wvalid_o  (m_wvalid),
    .m_axi_wready_i  (m_wready),
    .m_axi_wdata_o   (m_wdata),
    .m_axi_wstrb_o   (m_wstrb),
    .m_axi_wlast_o   (m_wlast),
    .m_axi_bvalid_i  (m_bvalid),
    .m_axi_bready_o  (m_bready),
    .m_axi_bid_i     (m_bid),
    .m_axi_bresp_i   (2'b00),
    .m_axi_arvalid_o (m_arvalid),
    .m_axi_arready_i (m_arready),
    .m_axi_arid_o    (m_arid),
    .m_axi_araddr_o  (m_araddr),
    .m_axi_arlen_o   (m_arlen),
    .m_axi_arsize_o  (m_arsize),
    .m_axi_arburst_o (m_arburst),
    .m_axi_rvalid_i  (m_rvalid),
    .m_axi_rready_o  (m_rready),
    .m_axi_rid_i     (m_rid),
    .m_axi_rdata_i   (m_rdata),
    .m_axi_rresp_i   (2'b00),
    .m_axi_rlast_i   (m_rlast)
  );

  axi_ram #(.Bytes(MemBytes), .BusBits(BusBits)) u_ram (
    .clk_i,
    .rst_ni      (rst_n),
    .awvalid_i   (m_awvalid),
    .awready_o   (m_awready),
    .awaddr_i    (m_awaddr),
    .awid_i      (m_awid),
    .wvalid_i    (m_wvalid),
    .wready_o    (m_wready),
    .wdata_i     (m_wdata),
    .wstrb_i     (m_wstrb),
    .bvalid_o    (m_bvalid),
    .bready_i    (m_bready),
    .bid_o       (m_bid),
    .arvalid_i   (m_arvalid),
    .arready_o   (m_arready),
    .araddr_i    (m_araddr),
    .arlen_i     (m_arlen),
    .arid_i      (m_arid),
    .rvalid_o    (m_rvalid),
    .rready_i    (m_rready),
    .rdata_o     (m_rdata),
    .rid_o       (m_rid),
    .rlast_o     (m_rlast),
    .host_valid_i(request_q & is_memory),
    .host_ready_o(mem_ready),
    .host_write_i(is_write),
    .host_addr_i (30'(frame_q.address)),
    .host_data_i (frame_q.data),
    .host_valid_o(mem_valid),
    .host_data_o (mem_data)
  );

  // The accelerator's writes are single beats, all its bursts count up by whole beats.
  logic unused;
  assign unused = ^{m_awlen, m_awsize, m_awburst, m_wlast, m_arsize, m_arburst};

endmodule
