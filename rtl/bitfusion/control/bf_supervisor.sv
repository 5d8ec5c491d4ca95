// Life of a program: checks before it starts, the first fault, deadlock and the cycle limit; then waits until nothing is under way,
// forgets what is left, and says how it ended.
module bf_supervisor
  import bf_control_pkg::*;
#(
  parameter int unsigned BusBits = 256
) (
  input  logic           clk_i,
  input  logic           rst_ni,
  input  logic           start_i,
  input  logic           abort_i,
  input  logic [31:0]    mem_base_i,
  input  logic [31:0]    mem_bytes_i,
  input  logic [31:0]    program_i,
  input  logic [31:0]    instructions_i,
  input  logic [31:0]    cycle_limit_i,
  input  logic [31:0]    cycles_i,

  // Faults, the most important first
  input  fault_t         decode_fault_i,
  input  fault_t         load_fault_i,
  input  fault_t         issue_fault_i,
  input  fault_t         semaphore_fault_i,
  input  fault_t         exec_fault_i,
  input  fault_t         bus_fault_i,
  input  logic           end_i,

  // Where the engines stand
  input  logic           dealt_i,          // every instruction is in a queue, or the next one's queue is full
  input  logic           exhausted_i,      // the program has no further instruction, and no END was met
  input  logic           load_empty_i,     // queues
  input  logic           exec_empty_i,
  input  logic           load_blocked_i,   // at a WAIT for a semaphore of zero
  input  logic           exec_blocked_i,
  input  logic           exec_at_end_i,    // at END
  input  logic           load_idle_i,      // no transfer under way
  input  logic           runs_idle_i,
  input  logic           stores_idle_i,
  input  logic           fetch_idle_i,
  input  logic [15:0]    load_index_i,     // of the heads of the queues
  input  logic [15:0]    exec_index_i,
  input  logic [15:0]    next_index_i,     // of the next instruction
  input  logic           drained_i,        // no AXI transaction outstanding
  input  logic           flushed_i,        // everything forgotten

  output logic           launch_o,         // pulse: fetch starts, counters are zero
  output logic           clear_o,          // pulse, the cycle before
  output logic           enable_o,         // the program runs
  output logic           stop_o,           // the datapath has to come to rest
  output logic           flush_o,
  output logic           busy_o,
  output logic           done_o,
  output logic           error_o,
  output bf_pkg::error_e code_o,
  output logic [15:0]    index_o
);

  localparam int unsigned BeatShift = $clog2(BusBits / 8);
  localparam int unsigned BeatLast  = BusBits / 8 - 1;

  typedef enum logic [2:0] {
    StIdle,
    StCheck,
    StRun,
    StDrain,
    StFlush
  } state_e;

  state_e      state_q;
  logic        done_q, error_q, stop;
  fault_t      fault, fault_q;
  logic [1:0]  still_q;          // cycles that nothing has been able to move
  logic        window_legal, stand_still, ran_out, deadlock, limit;
  logic [35:0] program_bytes, program_end;
  logic [15:0] oldest;

  // The program in whole beats
  assign program_bytes = ((36'(instructions_i) << 3) + 36'(BeatLast)) >> BeatShift << BeatShift;
  assign program_end   = 36'(program_i) + program_bytes;
  assign window_legal  = (mem_base_i[BeatShift-1:0] == '0) & (program_i[BeatShift-1:0] == '0) &
                         (program_end <= 36'(mem_bytes_i)) & (33'(mem_base_i) + 33'(mem_bytes_i) <= 33'h1_0000_0000);

  // A signal on its way shows in the semaphores after a cycle; three cycles are plenty.
  assign ran_out     = exhausted_i & load_empty_i & exec_empty_i & stores_idle_i;
  assign stand_still = dealt_i & load_idle_i & runs_idle_i & (load_empty_i | load_blocked_i) &
                       (exec_empty_i | exec_blocked_i | (exec_at_end_i & load_blocked_i)) &
                       (load_blocked_i | exec_blocked_i | ran_out);
  assign deadlock    = still_q == 2'd3;
  assign limit       = (cycle_limit_i != '0) & (cycles_i >= cycle_limit_i);
  assign oldest      = load_empty_i ? exec_index_i : exec_empty_i ? load_index_i :
                       load_index_i < exec_index_i ? load_index_i : exec_index_i;

  always_comb begin
    fault = '0;
    stop  = 1'b1;
    if (decode_fault_i.valid) begin
      fault = decode_fault_i;
    end else if (load_fault_i.valid) begin
      fault = load_fault_i;
    end else if (issue_fault_i.valid) begin
      fault = issue_fault_i;
    end else if (semaphore_fault_i.valid) begin
      fault = semaphore_fault_i;
    end else if (exec_fault_i.valid) begin
      fault = exec_fault_i;
    end else if (bus_fault_i.valid) begin
      fault = bus_fault_i;
    end else if (end_i) begin
      fault.index = exec_index_i;
    end else if (deadlock) begin
      fault.valid = 1'b1;
      fault.code  = ran_out ? bf_pkg::ErrNoEnd : bf_pkg::ErrDeadlock;
      fault.index = ran_out ? next_index_i : oldest;
    end else if (limit || abort_i) begin
      fault.valid = 1'b1;
      fault.code  = bf_pkg::ErrLimit;
      fault.index = exec_empty_i ? next_index_i : exec_index_i;
    end else begin
      stop = 1'b0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      done_q  <= 1'b0;
      error_q <= 1'b0;
      fault_q <= '0;
      still_q <= '0;
    end else begin
      unique case (state_q)
        StIdle: begin
          if (start_i) begin
            state_q <= StCheck;
            done_q  <= 1'b0;
            error_q <= 1'b0;
            fault_q <= '0;
          end
        end
        StCheck: begin
          still_q <= '0;
          if (window_legal) begin
            state_q <= StRun;
          end else begin
            state_q       <= StDrain;
            fault_q.valid <= 1'b1;
            fault_q.code  <= bf_pkg::ErrMemory;
          end
        end
        StRun: begin
          still_q <= stand_still ? still_q + 2'd1 : '0;
          if (stop) begin
            state_q <= StDrain;
            fault_q <= fault;
          end
        end
        StDrain: begin
          if (drained_i && fetch_idle_i && runs_idle_i && stores_idle_i) state_q <= StFlush;
        end
        default: begin
          if (flushed_i) begin
            state_q <= StIdle;
            done_q  <= ~fault_q.valid;
            error_q <= fault_q.valid;
          end
        end
      endcase
    end
  end

  assign clear_o  = (state_q == StIdle) & start_i;
  assign launch_o = (state_q == StCheck) & window_legal;
  assign enable_o = state_q == StRun;
  assign flush_o  = state_q == StFlush;
  assign stop_o   = (state_q == StDrain) | (state_q == StFlush);
  assign busy_o   = state_q != StIdle;
  assign done_o   = done_q;
  assign error_o  = error_q;
  assign code_o   = fault_q.code;
  assign index_o  = fault_q.index;

endmodule
