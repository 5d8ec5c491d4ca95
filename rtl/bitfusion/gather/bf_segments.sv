// Middle loops of the gather: groups of channels (vector runs), rows of the kernel, segments of a row. Gives one segment
// after the other, and takes the next pixel with the step from the last one.
module bf_segments
  import bf_pkg::*;
  import bf_gather_pkg::*;
#(
  parameter int unsigned AddrW = 15,
  parameter int unsigned Build = BuildStructural
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             clear_i,

  input  logic             pixel_valid_i,
  output logic             pixel_take_o,
  input  logic             pixel_last_i,
  input  logic [31:0]      pixel_x_i,
  input  logic [31:0]      pixel_y_i,
  input  logic [AddrW-1:0] pixel_z_i,
  input  segment_cfg_t     pixel_cfg_i,

  output logic             valid_o,
  input  logic             take_i,
  output logic             patch_last_o,     // the patch's last segment
  output logic             run_last_o,       // the run's last segment
  output logic [31:0]      x_o,
  output logic [31:0]      room_o,           // bytes to the right edge of the image
  output logic             outside_o,        // above or below the image
  output logic [AddrW-1:0] addr_o,
  output logic [15:0]      seg_o,
  output pack_cfg_t        cfg_o
);

  logic        valid_q, last_pixel_q, vector_q, j_last, k_last, g_last, j_end, k_end, done;
  logic [15:0] seg_q;
  pack_cfg_t   cfg_q;

  assign j_end        = take_i & j_last;
  assign k_end        = j_end & k_last;
  assign done         = j_last & k_last & g_last;
  assign pixel_take_o = pixel_valid_i & (~valid_q | (take_i & done));

  bf_loop u_j (.clk_i, .load_i(pixel_take_o), .count_i(pixel_cfg_i.j),      .step_i(take_i), .last_o(j_last));
  bf_loop u_k (.clk_i, .load_i(pixel_take_o), .count_i(pixel_cfg_i.k),      .step_i(j_end),  .last_o(k_last));
  bf_loop u_g (.clk_i, .load_i(pixel_take_o), .count_i(pixel_cfg_i.groups), .step_i(k_end),  .last_o(g_last));

  assign valid_o      = valid_q;
  assign patch_last_o = done | vector_q;
  assign run_last_o   = done & last_pixel_q;
  assign seg_o        = seg_q;
  assign cfg_o        = cfg_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                       valid_q <= 1'b0;
    else if (clear_i)                  valid_q <= 1'b0;
    else if (!valid_q || (take_i && done)) valid_q <= pixel_valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (pixel_take_o) begin
      last_pixel_q <= pixel_last_i;
      vector_q     <= pixel_cfg_i.vector;
      seg_q        <= pixel_cfg_i.seg;
      cfg_q        <= pixel_cfg_i.pack;
    end
  end

  if (Build != BuildTiming) begin : gen_coordinates
    logic [31:0]      x_q, group_x_q, y_q, first_y_q, next_x, next_y;
    logic [31:0]      jstep_q, kstep_q, gstep_q, xend_q, yend_q;
    logic [AddrW-1:0] row_q, first_row_q;     // address of the byte at x = 0 in row y

    always_comb begin
      next_x = (j_last ? group_x_q : x_q) + (!j_last ? jstep_q : k_last ? gstep_q : '0);
      next_y = y_q + kstep_q;
    end

    always_ff @(posedge clk_i) begin
      if (pixel_take_o) begin
        {x_q, group_x_q}             <= {2{pixel_x_i}};
        {y_q, first_y_q}             <= {2{pixel_y_i}};
        {row_q, first_row_q}         <= {2{pixel_z_i + pixel_y_i[AddrW-1:0]}};
        {jstep_q, kstep_q, gstep_q}  <= {pixel_cfg_i.jstep, pixel_cfg_i.kstep, pixel_cfg_i.gstep};
        {xend_q, yend_q}             <= {pixel_cfg_i.xend, pixel_cfg_i.yend};
      end else if (take_i) begin
        x_q <= next_x;
        if (k_end) group_x_q <= next_x;
        if (j_end) begin
          y_q   <= k_last ? first_y_q   : next_y;
          row_q <= k_last ? first_row_q : row_q + kstep_q[AddrW-1:0];
        end
      end
    end

    assign x_o       = x_q;
    assign room_o    = xend_q - x_q;
    assign outside_o = y_q[31] | ($signed(y_q) >= $signed(yend_q));
    assign addr_o    = row_q + x_q[AddrW-1:0];
  end else begin : gen_no_coordinates
    logic unused;
    assign unused    = ^{pixel_x_i, pixel_y_i, pixel_z_i, pixel_cfg_i};
    assign x_o       = '0;
    assign room_o    = '0;
    assign outside_o = 1'b0;
    assign addr_o    = '0;
  end

endmodule
