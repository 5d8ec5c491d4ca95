// Cuts segments into pieces of at most 4 bytes a row (one read each), with the part of a piece that lies inside the image.
// Two pieces wait at the output, so that no decision of the packer reaches back to the walk within a cycle.
module bf_pieces
  import bf_pkg::*;
  import bf_gather_pkg::*;
#(
  parameter int unsigned Rows   = 16,
  parameter int unsigned AddrW  = 15,
  parameter int unsigned Build  = BuildStructural,
  localparam int unsigned CountW = $clog2(4 * Rows + 1)
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              clear_i,

  input  logic              segment_valid_i,
  output logic              segment_take_o,
  input  logic              patch_last_i,
  input  logic              run_last_i,
  input  logic [31:0]       x_i,
  input  logic [31:0]       room_i,
  input  logic              outside_i,
  input  logic [AddrW-1:0]  addr_i,
  input  logic [15:0]       seg_i,
  input  pack_cfg_t         cfg_i,

  output logic              busy_o,         // a segment is being cut
  output logic              valid_o,
  input  logic              take_i,
  output logic [CountW-1:0] count_o,        // bytes of the piece
  output logic              patch_last_o,
  output logic              run_last_o,
  output pack_cfg_t         cfg_o,
  output logic [AddrW-1:0]  addr_o,
  output logic [CountW-1:0] low_o,          // bytes [low, high) of it lie inside the image
  output logic [CountW-1:0] high_o
);

  localparam int unsigned Piece = 4 * Rows;

  typedef struct packed {
    logic [CountW-1:0] count;
    logic              patch_last, run_last;
    pack_cfg_t         cfg;
  } piece_t;

  typedef struct packed {
    logic [AddrW-1:0]  addr;
    logic [CountW-1:0] low, high;
  } place_t;

  logic        valid_q, patch_last_q, run_last_q, last_q, full, step;
  logic [15:0] rest_q;
  pack_cfg_t   cfg_q;
  piece_t      piece, head;

  assign step           = valid_q & ~full;
  assign segment_take_o = segment_valid_i & (~valid_q | (step & last_q));
  assign piece          = '{
    count:      last_q ? CountW'(rest_q) : CountW'(Piece),
    patch_last: last_q & patch_last_q,
    run_last:   last_q & run_last_q,
    cfg:        cfg_q
  };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                         valid_q <= 1'b0;
    else if (clear_i)                    valid_q <= 1'b0;
    else if (!valid_q || (step && last_q)) valid_q <= segment_valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (segment_take_o) begin
      rest_q       <= seg_i;
      last_q       <= seg_i <= 16'(Piece);
      patch_last_q <= patch_last_i;
      run_last_q   <= run_last_i;
      cfg_q        <= cfg_i;
    end else if (step) begin
      rest_q <= rest_q - 16'(Piece);
      last_q <= rest_q <= 16'(2 * Piece);
    end
  end

  // Two entries: one is written while the other leaves.
  logic [1:0] used_q;
  logic       write_q, read_q, pop;
  (* ram_style = "logic" *) piece_t pieces_q [2];

  assign pop     = take_i & valid_o;
  assign valid_o = used_q != 2'd0;
  assign full    = used_q[1];
  assign busy_o  = valid_q;
  assign head    = pieces_q[read_q];
  assign {count_o, patch_last_o, run_last_o, cfg_o} = head;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      used_q  <= '0;
      write_q <= 1'b0;
      read_q  <= 1'b0;
    end else if (clear_i) begin
      used_q  <= '0;
      write_q <= 1'b0;
      read_q  <= 1'b0;
    end else begin
      used_q  <= used_q + {1'b0, step} - {1'b0, pop};
      write_q <= write_q ^ step;
      read_q  <= read_q ^ pop;
    end
  end
  always_ff @(posedge clk_i) if (step) pieces_q[write_q] <= piece;

  if (Build != BuildTiming) begin : gen_place
    logic [31:0]      x_q, room_q;
    logic [AddrW-1:0] addr_q;
    logic             outside_q, none;
    place_t           place;
    (* ram_style = "logic" *) place_t places_q [2];

    // What lies left of the image, and what is left of its right edge; both cut to the piece
    function automatic logic [CountW-1:0] cut(logic [31:0] bytes, logic [CountW-1:0] count);
      if (bytes[31]) return '0;
      return bytes > 32'(count) ? count : bytes[CountW-1:0];
    endfunction

    assign none  = outside_q | room_q[31];
    assign place = '{
      addr: addr_q,
      low:  none ? '0 : cut(-x_q, piece.count),
      high: none ? '0 : cut(room_q, piece.count)
    };

    always_ff @(posedge clk_i) begin
      if (segment_take_o) begin
        x_q       <= x_i;
        room_q    <= room_i;
        outside_q <= outside_i;
        addr_q    <= addr_i;
      end else if (step) begin
        x_q    <= x_q + 32'(Piece);
        room_q <= room_q - 32'(Piece);
        addr_q <= addr_q + AddrW'(Piece);
      end
    end
    always_ff @(posedge clk_i) if (step) places_q[write_q] <= place;
    assign {addr_o, low_o, high_o} = places_q[read_q];
  end else begin : gen_no_place
    logic unused;
    assign unused = ^{x_i, room_i, outside_i, addr_i};
    assign addr_o = '0;
    assign low_o  = '0;
    assign high_o = '0;
  end

endmodule
