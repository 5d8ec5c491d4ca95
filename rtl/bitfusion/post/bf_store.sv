// Store unit: vectors of bytes to memory. Neighbours are combined into beats; a beat is an AXI4 write of its own with byte strobes,
// and many are under way at once. A vector is announced (address, length) when it is issued, its data follow in order.
module bf_store
  import bf_pkg::*;
  import bf_back_pkg::*;
#(
  parameter int unsigned Cols        = 32,
  parameter int unsigned BusBits     = 256,
  parameter int unsigned Build       = BuildStructural,
  parameter int unsigned Outstanding = 64,               // writes without an answer
  localparam int unsigned LenWidth   = $clog2(4 * Cols + 1),
  localparam int unsigned BeatBytes  = BusBits / 8
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 stop_i,           // forget everything but writes under way
  input  logic                 flush_i,          // nothing more will come for a while: do not wait for neighbours
  input  logic [31:0]          mem_base_i,
  input  logic [31:0]          mem_bytes_i,

  input  logic                 item_valid_i,
  input  logic [31:0]          item_addr_i,      // offset in the window
  input  logic [LenWidth-1:0]  item_len_i,
  input  logic                 data_valid_i,
  input  logic [32*Cols-1:0]   data_i,
  output logic                 item_done_o,

  output logic                 idle_o,
  output logic                 error_valid_o,
  output error_e               error_o,

  output logic                 m_axi_awvalid_o,
  input  logic                 m_axi_awready_i,
  output logic [31:0]          m_axi_awaddr_o,
  output logic                 m_axi_wvalid_o,
  input  logic                 m_axi_wready_i,
  output logic [BusBits-1:0]   m_axi_wdata_o,
  output logic [BeatBytes-1:0] m_axi_wstrb_o,
  input  logic                 m_axi_bvalid_i,
  input  logic [1:0]           m_axi_bresp_i
);

  localparam int unsigned PtrWidth  = $clog2(ItemDepth);
  localparam int unsigned ByteWidth = $clog2(BeatBytes);
  localparam int unsigned TagWidth  = 32 - ByteWidth;
  localparam int unsigned DataBits  = 32 * Cols > BusBits ? 32 * Cols : BusBits;
  localparam bit          HasData   = Build != BuildTiming;

  // Vectors in the order of issue; the pointers' upper bit tells full from empty.
  logic [PtrWidth:0]   announced_q, arrived_q, taken_q;
  logic [31:0]         addr_mem [ItemDepth];
  logic [LenWidth-1:0] len_mem [ItemDepth];
  logic                take, waiting;
  logic [31:0]         next_addr;
  logic [LenWidth-1:0] next_len;
  assign waiting   = arrived_q != taken_q;
  assign next_addr = addr_mem[taken_q[PtrWidth-1:0]];
  assign next_len  = len_mem[taken_q[PtrWidth-1:0]];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      announced_q <= '0;
      arrived_q   <= '0;
      taken_q     <= '0;
    end else if (stop_i) begin
      announced_q <= '0;
      arrived_q   <= '0;
      taken_q     <= '0;
    end else begin
      if (item_valid_i) announced_q <= announced_q + 1'b1;
      if (data_valid_i) arrived_q   <= arrived_q + 1'b1;
      if (take)         taken_q     <= taken_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (item_valid_i) begin
      addr_mem[announced_q[PtrWidth-1:0]] <= item_addr_i;
      len_mem[announced_q[PtrWidth-1:0]]  <= item_len_i;
    end
  end
  assign item_done_o = take;

  // The vector in hand, a slice of up to a beat a cycle
  logic                 hand_q, outside, slice_done, hand_done;
  logic [31:0]          addr_q;
  logic [LenWidth-1:0]  left_q;
  logic                 last_slice;
  logic [ByteWidth:0]   count;                      // bytes of the slice
  logic [ByteWidth-1:0] shift;
  logic [TagWidth-1:0]  tag;
  assign outside    = {1'b0, next_addr} + 33'(next_len) > {1'b0, mem_bytes_i};
  assign last_slice = 32'(left_q) <= BeatBytes;
  assign count      = last_slice ? (ByteWidth+1)'(left_q) : (ByteWidth+1)'(BeatBytes);
  assign {tag, shift} = addr_q;
  assign hand_done  = slice_done & last_slice;
  assign take       = waiting & (~hand_q | hand_done) & ~stop_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                hand_q <= 1'b0;
    else if (stop_i)            hand_q <= 1'b0;
    else if (take || hand_done) hand_q <= take & ~outside;
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      addr_q <= next_addr;
      left_q <= next_len;
    end else if (slice_done) begin
      addr_q <= addr_q + BeatBytes;
      left_q <= left_q - LenWidth'(BeatBytes);
    end
  end

  // The beat that is being filled
  logic                   held_q, held_d, conflict, crosses, send, sendable, last_drop;
  logic [TagWidth-1:0]    held_tag_q, held_tag_d;
  logic [BeatBytes-1:0]   held_strb_q, held_strb_d, merged_strb, low_strb, high_strb;
  logic [2*BeatBytes-1:0] strb;
  assign strb        = (((2*BeatBytes)'(1) << count) - (2*BeatBytes)'(1)) << shift;
  assign {high_strb, low_strb} = strb;
  assign conflict    = held_q & (held_tag_q != tag);
  assign crosses     = strb[BeatBytes];
  assign merged_strb = held_q ? held_strb_q | low_strb : low_strb;
  assign last_drop   = held_q & ~hand_q & ~waiting & flush_i;     // nothing in hand, and nothing comes

  always_comb begin
    send        = 1'b0;
    slice_done  = 1'b0;
    held_d      = held_q;
    held_tag_d  = held_tag_q;
    held_strb_d = held_strb_q;
    if (hand_q && conflict) begin            // the old beat goes, the slice's first takes its place
      send = sendable;
      if (sendable) begin
        held_tag_d  = tag;
        held_strb_d = low_strb;
        slice_done  = ~crosses;
      end
    end else if (hand_q && crosses) begin
      send = sendable;
      if (sendable) begin
        held_d      = 1'b1;
        held_tag_d  = tag + 1'b1;
        held_strb_d = high_strb;
        slice_done  = 1'b1;
      end
    end else if (hand_q && (&merged_strb)) begin
      send = sendable;
      if (sendable) begin
        held_d     = 1'b0;
        slice_done = 1'b1;
      end
    end else if (hand_q) begin
      held_d      = 1'b1;
      held_tag_d  = tag;
      held_strb_d = merged_strb;
      slice_done  = 1'b1;
    end else if (last_drop && sendable) begin
      send   = 1'b1;
      held_d = 1'b0;
    end
    if (stop_i) send = 1'b0;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)     held_q <= 1'b0;
    else if (stop_i) held_q <= 1'b0;
    else             held_q <= held_d;
  end
  always_ff @(posedge clk_i) begin
    held_tag_q  <= held_tag_d;
    held_strb_q <= held_strb_d;
  end

  logic [BeatBytes-1:0] send_strb;
  logic [TagWidth-1:0]  send_tag;
  logic                 send_held;            // as it is, without the slice
  assign send_held = conflict | ~hand_q;
  assign send_strb = send_held ? held_strb_q : merged_strb;
  assign send_tag  = send_held ? held_tag_q : tag;

  // Data of all this
  logic [BusBits-1:0] send_data;
  if (HasData) begin : gen_data
    logic [32*Cols-1:0] data_mem [ItemDepth];
    logic [DataBits-1:0] data_q;
    logic [BusBits-1:0]  held_data_q, rotated, merged;
    always_ff @(posedge clk_i) begin
      if (data_valid_i) data_mem[arrived_q[PtrWidth-1:0]] <= data_i;
      if (take)         data_q <= DataBits'(data_mem[taken_q[PtrWidth-1:0]]);
      else if (slice_done) data_q <= DataBits'({BusBits'(0), data_q} >> BusBits);    // the next slice
    end
    assign rotated = BusBits'({2{data_q[BusBits-1:0]}} >> {(ByteWidth+1)'(BeatBytes) - {1'b0, shift}, 3'b0});
    for (genvar i = 0; i < BeatBytes; i++) begin : gen_byte
      assign merged[8*i +: 8] = low_strb[i] ? rotated[8*i +: 8] : held_data_q[8*i +: 8];
    end
    always_ff @(posedge clk_i) begin
      if (hand_q && (sendable || !(conflict || crosses))) held_data_q <= conflict || crosses ? rotated : merged;
    end
    assign send_data = send_held ? held_data_q : merged;
  end else begin : gen_no_data
    logic unused;
    assign unused    = ^data_i;
    assign send_data = '0;
  end

  // AXI: addresses and data go their own ways.
  localparam int unsigned CountWidth = $clog2(Outstanding + 1);
  logic                  addr_full, data_full;
  logic [CountWidth-1:0] open_q;
  logic [TagWidth-1:0]   send_addr, aw_addr;
  assign sendable  = ~addr_full & ~data_full & (open_q != CountWidth'(Outstanding));
  assign send_addr = send_tag + mem_base_i[31:ByteWidth];
  fifo #(.Width(TagWidth), .Depth(4)) u_addr (
    .clk_i, .rst_ni,
    .push_i (send), .data_i (send_addr), .full_o (addr_full),
    .pop_i  (m_axi_awready_i), .valid_o (m_axi_awvalid_o), .data_o (aw_addr)
  );
  assign m_axi_awaddr_o = {aw_addr, {ByteWidth{1'b0}}};
  fifo #(.Width(BeatBytes), .Depth(4)) u_strb (
    .clk_i, .rst_ni,
    .push_i (send), .data_i (send_strb), .full_o (data_full),
    .pop_i  (m_axi_wready_i), .valid_o (m_axi_wvalid_o), .data_o (m_axi_wstrb_o)
  );
  if (HasData) begin : gen_wdata
    logic unused_full, unused_valid;
    fifo #(.Width(BusBits), .Depth(4)) u_data (
      .clk_i, .rst_ni,
      .push_i (send), .data_i (send_data), .full_o (unused_full),
      .pop_i  (m_axi_wready_i), .valid_o (unused_valid), .data_o (m_axi_wdata_o)
    );
    logic unused;
    assign unused = ^{unused_full, unused_valid};
  end else begin : gen_no_wdata
    assign m_axi_wdata_o = '0;
    logic unused;
    assign unused = ^send_data;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) open_q <= '0;
    else if (send != m_axi_bvalid_i) open_q <= send ? open_q + 1'b1 : open_q - 1'b1;
  end

  assign idle_o        = (announced_q == taken_q) & ~hand_q & ~held_q & (open_q == '0);
  assign error_valid_o = (take & outside) | (m_axi_bvalid_i & (m_axi_bresp_i != '0));
  assign error_o       = m_axi_bvalid_i & (m_axi_bresp_i != '0) ? ErrBus : ErrMemory;

  logic unused_bits;
  assign unused_bits = ^mem_base_i[ByteWidth-1:0];

endmodule
