// Instruction fetch: reads the program ahead in bursts of up to 256 bytes into a buffer of 64 instructions.
// A burst is requested when the buffer has room for all of it, so that its beats are never refused.
module bf_fetch
  import bf_control_pkg::*;
#(
  parameter int unsigned BusBits = 256    // 32 to 2048
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               start_i,       // pulse: takes address_i and count_i
  input  logic [31:0]        address_i,     // of the first instruction, a multiple of a beat
  input  logic [31:0]        count_i,
  input  logic               enable_i,      // requests may be made
  input  logic               flush_i,       // forget everything; nothing may be under way

  output logic               ar_valid_o,
  input  logic               ar_ready_i,
  output logic [31:0]        ar_addr_o,
  output logic [7:0]         ar_len_o,
  input  logic               beat_valid_i,
  input  logic [BusBits-1:0] beat_data_i,

  output logic               valid_o,       // oldest instruction
  output issued_t            issued_o,
  input  logic               pop_i,
  output logic               exhausted_o,   // all have been taken
  output logic               idle_o         // no burst requested or unanswered
);

  localparam int unsigned BeatBytes    = BusBits / 8;
  localparam int unsigned BeatShift    = $clog2(BeatBytes);
  localparam int unsigned EntryBits    = BusBits < 64 ? 64 : BusBits;
  localparam int unsigned EntryBeats   = EntryBits / BusBits;
  localparam int unsigned EntryInstrs  = EntryBits / 64;
  localparam int unsigned Entries      = 64 / EntryInstrs;
  localparam int unsigned BurstBeats   = 256 / BeatBytes;
  localparam int unsigned DepthBeats   = 2 * BurstBeats;
  localparam int unsigned PtrW         = $clog2(Entries);
  localparam int unsigned SelW         = EntryInstrs > 1 ? $clog2(EntryInstrs) : 1;
  localparam int unsigned CreditW      = $clog2(DepthBeats) + 1;

  logic [31:0]          addr_q, left_q;       // beats not yet requested: from addr_q
  logic [31:0]          remaining_q;          // instructions not yet taken
  logic [15:0]          index_q;
  logic                 ar_valid_q;
  logic [31:0]          ar_addr_q;
  logic [7:0]           ar_len_q;
  logic [CreditW-1:0]   free_q, flight_q;     // beats
  logic [EntryBits-1:0] mem [Entries];
  logic [PtrW:0]        write_q, read_q;
  logic [SelW-1:0]      select_q;
  logic [31:0]          beats;

  // To the next multiple of 256 bytes: such a burst never crosses one of 4 KiB.
  logic [CreditW-1:0] to_boundary, length;
  logic               request, push, take, last_of_entry;

  if (BurstBeats > 1) begin : gen_boundary
    assign to_boundary = CreditW'(BurstBeats) - CreditW'(addr_q[7:BeatShift]);
  end else begin : gen_single
    assign to_boundary = CreditW'(1);
  end

  assign beats   = (count_i >> $clog2(BusBits >= 64 ? BusBits / 64 : 1)) << $clog2(EntryBeats);
  assign length  = left_q < 32'(to_boundary) ? left_q[CreditW-1:0] : to_boundary;
  assign request = enable_i & (left_q != '0) & (free_q >= length) & (~ar_valid_q | ar_ready_i);

  if (EntryBeats == 1) begin : gen_wide
    assign push = beat_valid_i;
    always_ff @(posedge clk_i) begin
      if (push) mem[write_q[PtrW-1:0]] <= beat_data_i;
    end
  end else begin : gen_narrow
    logic        half_q;
    logic [31:0] low_q;
    assign push = beat_valid_i & half_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni)           half_q <= 1'b0;
      else if (flush_i)      half_q <= 1'b0;
      else if (beat_valid_i) half_q <= ~half_q;
    end
    always_ff @(posedge clk_i) begin
      if (beat_valid_i) low_q <= beat_data_i;
      if (push)         mem[write_q[PtrW-1:0]] <= {beat_data_i, low_q};
    end
  end

  assign last_of_entry = (EntryInstrs == 1) | (32'(select_q) == EntryInstrs - 1);
  assign take          = pop_i & valid_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      addr_q      <= '0;
      left_q      <= '0;
      remaining_q <= '0;
      index_q     <= '0;
      ar_valid_q  <= 1'b0;
      free_q      <= CreditW'(DepthBeats);
      flight_q    <= '0;
      write_q     <= '0;
      read_q      <= '0;
      select_q    <= '0;
    end else if (flush_i) begin
      left_q      <= '0;
      remaining_q <= '0;
      free_q      <= CreditW'(DepthBeats);
      write_q     <= '0;
      read_q      <= '0;
      select_q    <= '0;
    end else if (start_i) begin
      addr_q      <= address_i;
      left_q      <= beats + 32'(EntryInstrs > 1 && (count_i & 32'(EntryInstrs - 1)) != '0);
      remaining_q <= count_i;
      index_q     <= '0;
    end else begin
      if (request) begin
        addr_q     <= addr_q + (32'(length) << BeatShift);
        left_q     <= left_q - 32'(length);
        ar_valid_q <= 1'b1;
      end else if (ar_ready_i) begin
        ar_valid_q <= 1'b0;
      end
      free_q   <= free_q - (request ? length : '0) + (take && last_of_entry ? CreditW'(EntryBeats) : '0);
      flight_q <= flight_q + (request ? length : '0) - CreditW'(beat_valid_i);
      if (push) write_q <= write_q + 1'b1;
      if (take) begin
        remaining_q <= remaining_q - 32'd1;
        index_q     <= index_q + 16'd1;
        if (last_of_entry) begin
          select_q <= '0;
          read_q   <= read_q + 1'b1;
        end else begin
          select_q <= select_q + 1'b1;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (request) begin
      ar_addr_q <= addr_q;
      ar_len_q  <= 8'(length) - 8'd1;
    end
  end

  logic [63:0] word;
  if (EntryInstrs == 1) begin : gen_one
    assign word = mem[read_q[PtrW-1:0]];
  end else begin : gen_select
    assign word = mem[read_q[PtrW-1:0]][32'(select_q) * 64 +: 64];
  end

  assign valid_o        = (write_q != read_q) & (remaining_q != '0);
  assign issued_o.index = index_q;
  assign issued_o.instr = word;
  assign exhausted_o    = remaining_q == '0;
  assign ar_valid_o     = ar_valid_q;
  assign ar_addr_o      = ar_addr_q;
  assign ar_len_o       = ar_len_q;
  assign idle_o         = flight_q == '0;

endmodule
