// On-chip memory on an AXI4 port: bursts of reads, single writes with byte strobes, one of each a cycle. A second port takes what
// the first leaves: a word of 32 bits at a time.
module axi_ram #(
  parameter int unsigned Bytes   = 64 * 1024,     // power of two; addresses wrap
  parameter int unsigned BusBits = 64             // power of two, 32 and more
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic                 awvalid_i,
  output logic                 awready_o,
  input  logic [31:0]          awaddr_i,
  input  logic [3:0]           awid_i,
  input  logic                 wvalid_i,
  output logic                 wready_o,
  input  logic [BusBits-1:0]   wdata_i,
  input  logic [BusBits/8-1:0] wstrb_i,
  output logic                 bvalid_o,
  input  logic                 bready_i,
  output logic [3:0]           bid_o,
  input  logic                 arvalid_i,
  output logic                 arready_o,
  input  logic [31:0]          araddr_i,
  input  logic [7:0]           arlen_i,
  input  logic [3:0]           arid_i,
  output logic                 rvalid_o,
  input  logic                 rready_i,
  output logic [BusBits-1:0]   rdata_o,
  output logic [3:0]           rid_o,
  output logic                 rlast_o,

  input  logic                 host_valid_i,
  output logic                 host_ready_o,
  input  logic                 host_write_i,
  input  logic [31:2]          host_addr_i,
  input  logic [31:0]          host_data_i,
  output logic                 host_valid_o,      // the word that was read
  output logic [31:0]          host_data_o
);

  localparam int unsigned BeatBytes = BusBits / 8;
  localparam int unsigned Shift     = $clog2(BeatBytes);
  localparam int unsigned IndexW    = $clog2(Bytes) - Shift;

  // Writes: address and data together
  logic                 axi_write, host_write, write;
  logic [IndexW-1:0]    write_index;
  logic [BeatBytes-1:0] write_strb;
  logic [BusBits-1:0]   write_data;
  logic                 bvalid_q;
  logic [3:0]           bid_q;
  assign axi_write   = awvalid_i & wvalid_i & (~bvalid_q | bready_i);
  assign awready_o   = axi_write;
  assign wready_o    = axi_write;
  assign bvalid_o    = bvalid_q;
  assign bid_o       = bid_q;
  assign host_write  = host_valid_i & host_write_i & ~axi_write;
  assign write       = axi_write | host_write;
  assign write_index = axi_write ? awaddr_i[Shift +: IndexW] : host_addr_i[Shift +: IndexW];
  assign write_data  = axi_write ? wdata_i : {BusBits/32{host_data_i}};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)        bvalid_q <= 1'b0;
    else if (axi_write) bvalid_q <= 1'b1;
    else if (bready_i)  bvalid_q <= 1'b0;
  end
  always_ff @(posedge clk_i) if (axi_write) bid_q <= awid_i;

  // Reads: the burst, the word read, the word answered
  typedef struct packed {
    logic       host;
    logic       last;
    logic [3:0] id;
  } tag_t;
  logic              active_q, advance, axi_read, host_read, last, valid_1_q, valid_2_q;
  logic [IndexW-1:0] index_q, read_index;
  logic [7:0]        left_q;
  logic [3:0]        id_q;
  tag_t              tag_1_q, tag_2_q;
  logic [BusBits-1:0] word_q, data_q;
  assign last       = left_q == '0;
  assign advance    = ~valid_2_q | tag_2_q.host | rready_i;
  assign axi_read   = active_q & advance;
  assign host_read  = host_valid_i & ~host_write_i & ~active_q & advance;
  assign read_index = active_q ? index_q : host_addr_i[Shift +: IndexW];
  assign arready_o  = ~active_q | (axi_read & last);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      active_q  <= 1'b0;
      valid_1_q <= 1'b0;
      valid_2_q <= 1'b0;
    end else begin
      if (arready_o) active_q <= arvalid_i;
      if (advance) begin
        valid_1_q <= axi_read | host_read;
        valid_2_q <= valid_1_q;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (arvalid_i && arready_o) begin
      index_q <= araddr_i[Shift +: IndexW];
      left_q  <= arlen_i;
      id_q    <= arid_i;
    end else if (axi_read) begin
      index_q <= index_q + 1'b1;
      left_q  <= left_q - 8'd1;
    end
    if (advance) begin
      tag_1_q <= '{host: ~active_q, last: last, id: id_q};
      tag_2_q <= tag_1_q;
      data_q  <= word_q;
    end
  end
  assign rvalid_o     = valid_2_q & ~tag_2_q.host;
  assign rdata_o      = data_q;
  assign rid_o        = tag_2_q.id;
  assign rlast_o      = tag_2_q.last;
  assign host_ready_o = host_write | host_read;
  assign host_valid_o = valid_2_q & tag_2_q.host;

  // The host takes one word at a time, and holds its address until it comes.
  if (BusBits == 32) begin : gen_word
    assign host_data_o = data_q;
    assign write_strb  = axi_write ? wstrb_i : '1;
  end else begin : gen_select
    logic [Shift-3:0] select;
    assign select      = host_addr_i[Shift-1:2];
    assign host_data_o = data_q[32 * 32'(select) +: 32];
    assign write_strb  = axi_write ? wstrb_i : BeatBytes'(4'b1111) << {select, 2'b00};
  end

  for (genvar i = 0; i < BeatBytes; i++) begin : gen_byte
    (* ram_style = "block", no_rw_check *) logic [7:0] mem [2 ** IndexW];
    always_ff @(posedge clk_i) begin
      if (write && write_strb[i]) mem[write_index] <= write_data[8*i +: 8];
      if (advance) word_q[8*i +: 8] <= mem[read_index];
    end
  end

  logic unused;
  assign unused = ^{awaddr_i, araddr_i, host_addr_i};

endmodule
