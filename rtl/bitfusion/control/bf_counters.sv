// Performance counters and the marks that record them.
module bf_counters
  import bf_control_pkg::*;
(
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         clear_i,
  input  logic         enable_i,          // cycles are counted
  input  logic [6:0]   events_i,          // counters 1..7
  input  logic [7:0]   exec_blocked_i,    // counters 8..15
  input  logic [7:0]   load_blocked_i,    // counters 16..23
  output logic [31:0]  cycles_o,
  input  logic [4:0]   counter_i,
  output logic [31:0]  counter_o,

  input  logic         mark_i,
  input  logic [31:0]  mark_id_i,
  output logic [8:0]   marks_o,
  output logic         marks_full_o,
  input  logic         mark_read_i,
  input  logic [7:0]   mark_index_i,
  output logic [127:0] mark_o             // a cycle after mark_read_i: id in the low word
);

  localparam int unsigned Cycles       = 0;
  localparam int unsigned ArrayBusy    = 1;
  localparam int unsigned BeatsRead    = 5;
  localparam int unsigned BeatsWritten = 6;

  logic [31:0]         count_q [Counters];
  logic [Counters-1:0] steps;
  logic [8:0]          marks_q;
  logic [127:0]        mark_mem [Marks];
  logic [127:0]        mark_q;

  assign steps = {load_blocked_i, exec_blocked_i, events_i, 1'b1};

  for (genvar i = 0; i < int'(Counters); i++) begin : gen_counter
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni)                    count_q[i] <= '0;
      else if (clear_i)               count_q[i] <= '0;
      else if (enable_i && steps[i])  count_q[i] <= count_q[i] + 32'd1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                        marks_q <= '0;
    else if (clear_i)                   marks_q <= '0;
    else if (mark_i && !marks_full_o)   marks_q <= marks_q + 9'd1;
  end

  always_ff @(posedge clk_i) begin
    if (mark_i) begin
      mark_mem[marks_q[7:0]] <= {count_q[BeatsRead] + count_q[BeatsWritten], count_q[ArrayBusy], count_q[Cycles], mark_id_i};
    end
    if (mark_read_i) mark_q <= mark_mem[mark_index_i];
  end

  assign cycles_o     = count_q[Cycles];
  assign counter_o    = 32'(counter_i) < Counters ? count_q[counter_i] : '0;
  assign marks_o      = marks_q;
  assign marks_full_o = marks_q[8];
  assign mark_o       = mark_q;

endmodule
