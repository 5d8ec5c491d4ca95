// One level of a loop nest: last_o while its index is at its end; the step from there begins anew.
module bf_loop (
  input  logic        clk_i,
  input  logic        load_i,
  input  logic [15:0] count_i,    // 1 and more
  input  logic        step_i,
  output logic        last_o
);

  logic [15:0] count_q, left_q;
  logic        last_q;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      count_q <= count_i;
      left_q  <= count_i;
      last_q  <= count_i == 16'd1;
    end else if (step_i) begin
      left_q <= last_q ? count_q : left_q - 16'd1;
      last_q <= last_q ? count_q == 16'd1 : left_q == 16'd2;
    end
  end

  assign last_o = last_q;

endmodule
