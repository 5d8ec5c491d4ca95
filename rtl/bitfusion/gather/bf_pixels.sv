// Outer loops of the gather: images, rows and columns of outputs, rows and columns of a pooling window. Gives the
// coordinates of one pixel after the other; takes the next run with the step from the last one.
module bf_pixels
  import bf_pkg::*;
  import bf_gather_pkg::*;
#(
  parameter int unsigned AddrW = 15,
  parameter int unsigned Build = BuildStructural
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,

  input  logic               run_valid_i,
  output logic               run_ready_o,
  input  run_t               run_i,

  output logic               valid_o,
  input  logic               take_i,
  output logic               last_o,       // the run's last pixel
  output logic [31:0]        x_o,
  output logic [31:0]        y_o,
  output logic [AddrW-1:0]   z_o,          // address of the byte at (0, 0) of the image
  output segment_cfg_t       cfg_o
);

  logic         valid_q, load, px_last, py_last, ox_last, oy_last, b_last;
  logic         px_end, py_end, ox_end, oy_end;
  segment_cfg_t cfg_q;

  assign px_end = take_i & px_last;
  assign py_end = px_end & py_last;
  assign ox_end = py_end & ox_last;
  assign oy_end = ox_end & oy_last;

  bf_loop u_px (.clk_i, .load_i(load), .count_i(run_i.px), .step_i(take_i), .last_o(px_last));
  bf_loop u_py (.clk_i, .load_i(load), .count_i(run_i.py), .step_i(px_end), .last_o(py_last));
  bf_loop u_ox (.clk_i, .load_i(load), .count_i(run_i.ox), .step_i(py_end), .last_o(ox_last));
  bf_loop u_oy (.clk_i, .load_i(load), .count_i(run_i.oy), .step_i(ox_end), .last_o(oy_last));
  bf_loop u_b  (.clk_i, .load_i(load), .count_i(run_i.b),  .step_i(oy_end), .last_o(b_last));

  assign last_o      = px_last & py_last & ox_last & oy_last & b_last;
  assign run_ready_o = ~valid_q | (take_i & last_o);
  assign load        = run_valid_i & run_ready_o & ~clear_i;
  assign valid_o     = valid_q;
  assign cfg_o       = cfg_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)          valid_q <= 1'b0;
    else if (clear_i)     valid_q <= 1'b0;
    else if (run_ready_o) valid_q <= run_valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (load) begin
      cfg_q <= '{
        vector: run_i.mode.vector,
        j: run_i.j, k: run_i.k, groups: run_i.mode.vector ? run_i.noct : 16'd1,
        jstep: run_i.jstep, kstep: run_i.kstep, gstep: run_i.gstep,
        xend: run_i.xend, yend: run_i.yend, seg: run_i.seg,
        pack: '{
          chunk: run_i.mode.vector ? 2'd3 : chunk_log2(run_i.mode.act_log2, run_i.mode.wgt_log2),
          nch: run_i.nch, passes: run_i.mode.vector ? 16'd1 : run_i.noct, sem_input: run_i.sem_input
        }
      };
    end
  end

  if (Build != BuildTiming) begin : gen_coordinates
    // Where the pixel, its pooling window and the row of outputs begin
    logic [31:0]      x_q, window_x_q, first_x_q, y_q, window_y_q, first_y_q, next_x, next_y;
    logic [31:0]      pxstep_q, pystep_q, oxstep_q, oystep_q;
    logic [AddrW-1:0] z_q, bstep_q;

    always_comb begin
      next_x = (px_last ? window_x_q : x_q) + (!px_last ? pxstep_q : py_last ? oxstep_q : '0);
      next_y = (py_last ? window_y_q : y_q) + (!py_last ? pystep_q : ox_last ? oystep_q : '0);
    end

    always_ff @(posedge clk_i) begin
      if (load) begin
        {x_q, window_x_q, first_x_q} <= {3{run_i.x0}};
        {y_q, window_y_q, first_y_q} <= {3{run_i.y0}};
        {pxstep_q, pystep_q}         <= {run_i.pxstep, run_i.pystep};
        {oxstep_q, oystep_q}         <= {run_i.oxstep, run_i.oystep};
        {z_q, bstep_q}               <= {run_i.ibase[AddrW-1:0], run_i.bstep[AddrW-1:0]};
      end else if (take_i) begin
        x_q <= ox_end ? first_x_q : next_x;
        if (py_end) window_x_q <= ox_end ? first_x_q : next_x;
        if (px_end) y_q        <= oy_end ? first_y_q : next_y;
        if (ox_end) window_y_q <= oy_end ? first_y_q : next_y;
        if (oy_end) z_q        <= z_q + bstep_q;
      end
    end

    assign x_o = x_q;
    assign y_o = y_q;
    assign z_o = z_q;
  end else begin : gen_no_coordinates
    assign x_o = '0;
    assign y_o = '0;
    assign z_o = '0;
  end

  // Fields of the run that other parts use
  logic unused;
  assign unused = ^run_i;

endmodule
