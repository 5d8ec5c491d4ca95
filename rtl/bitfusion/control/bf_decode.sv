// Decoder: refuses what is illegal by itself and deals the rest to the queues of the two engines, one a cycle.
// What depends on registers is refused by the engines.
module bf_decode
  import bf_control_pkg::*;
(
  input  logic    clk_i,
  input  logic    rst_ni,
  input  logic    enable_i,
  input  logic    flush_i,
  input  logic    valid_i,
  input  issued_t issued_i,
  output logic    pop_o,
  output logic    load_push_o,
  input  logic    load_full_i,
  output logic    exec_push_o,
  input  logic    exec_full_i,
  output logic    stuck_o,       // the next instruction's queue is full
  output logic    ended_o,       // END has been dealt: nothing follows it
  output fault_t  fault_o
);

  localparam logic [7:0] LoadRegisters = 8'd5;
  localparam logic [7:0] ExecRegisters = 8'd34;

  logic        to_load, known, legal, room, ended_q;
  logic [7:0]  opcode;
  logic [8:0]  arg;

  assign opcode = issued_i.instr.opcode;
  assign arg    = issued_i.instr.arg[8:0];

  // A semaphore to signal: 0..7, or 15 for none.
  function automatic logic target(logic [3:0] number);
    return ~number[3] | (number == bf_pkg::NoSemaphore);
  endfunction

  always_comb begin
    to_load = 1'b0;
    known   = 1'b1;
    legal   = 1'b1;
    unique case (opcode)
      bf_pkg::OpEnd, bf_pkg::OpFence, bf_pkg::OpMark: ;
      bf_pkg::OpWait, bf_pkg::OpSignal: begin
        to_load = ~arg[8];
        legal   = ~arg[3];
      end
      bf_pkg::OpSetL: begin
        to_load = 1'b1;
        legal   = arg[7:0] < LoadRegisters;
      end
      bf_pkg::OpLoad: begin
        to_load = 1'b1;
        legal   = (arg[1:0] != 2'd3) & target(arg[7:4]);
      end
      bf_pkg::OpSetX: legal = arg[7:0] < ExecRegisters;
      bf_pkg::OpRun:  legal = target(arg[3:0]) & target(arg[7:4]);
      default:        known = 1'b0;
    endcase
  end

  assign room        = to_load ? ~load_full_i : ~exec_full_i;
  assign pop_o       = enable_i & valid_i & ~ended_q & known & legal & room;
  assign load_push_o = pop_o & to_load;
  assign exec_push_o = pop_o & ~to_load;
  assign stuck_o     = valid_i & ~ended_q & known & legal & ~room;
  assign ended_o     = ended_q;

  assign fault_o.valid = valid_i & ~ended_q & ~(known & legal);
  assign fault_o.code  = known ? bf_pkg::ErrField : bf_pkg::ErrOpcode;
  assign fault_o.index = issued_i.index;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                                ended_q <= 1'b0;
    else if (flush_i)                           ended_q <= 1'b0;
    else if (pop_o && opcode == bf_pkg::OpEnd)  ended_q <= 1'b1;
  end

endmodule
