// Exec engine: keeps the exec registers and hands each RUN over with a copy of them; waits, signals, fences, marks and the end.
module bf_exec_engine
  import bf_control_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned PatchDepth = 64
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         enable_i,
  input  logic         flush_i,

  input  logic         valid_i,          // head of the queue
  input  issued_t      issued_i,
  output logic         pop_o,
  output logic         wait_o,           // for semaphore issued_i.instr.arg
  input  logic         wait_grant_i,
  output signal_t      signal_o,

  output logic         run_valid_o,
  input  logic         run_ready_i,
  output bf_pkg::run_t run_o,
  output logic [15:0]  run_index_o,      // of the newest RUN that was accepted
  input  logic         runs_idle_i,
  input  logic         stores_idle_i,
  input  logic         load_idle_i,      // queue empty and all written

  output logic         idle_o,           // no RUN waiting or unfinished
  output logic         fence_o,          // stands at FENCE or END
  output logic         at_end_o,         // stands at END
  output logic         mark_o,           // MARK takes effect
  input  logic         marks_full_i,
  output logic         end_o,            // END takes effect
  output fault_t       fault_o
);

  bf_pkg::run_t shadow_q, run_q;
  logic [15:0]  run_index_q, accepted_index_q;
  logic         run_valid_q, accepted_q;

  logic [7:0]   opcode;
  logic [31:0]  imm;
  logic         is_setx, is_run, is_mark, is_signal, is_fence, is_end, run_legal, quiet, launch;

  assign opcode    = issued_i.instr.opcode;
  assign imm       = issued_i.instr.imm;
  assign is_setx   = valid_i & (opcode == bf_pkg::OpSetX);
  assign is_run    = valid_i & (opcode == bf_pkg::OpRun);
  assign is_mark   = valid_i & (opcode == bf_pkg::OpMark);
  assign is_signal = valid_i & (opcode == bf_pkg::OpSignal);
  assign is_fence  = valid_i & (opcode == bf_pkg::OpFence);
  assign is_end    = valid_i & (opcode == bf_pkg::OpEnd);

  // runs_idle_i may lag a cycle behind the acceptance of a run.
  assign idle_o = ~run_valid_q & ~accepted_q & runs_idle_i;
  assign quiet  = idle_o & stores_idle_i;

  bf_run_check #(
    .Rows      (Rows),
    .Cols      (Cols),
    .PatchDepth(PatchDepth)
  ) u_check (
    .run_i  (shadow_q),
    .legal_o(run_legal)
  );

  assign launch  = enable_i & is_run & run_legal & (~run_valid_q | run_ready_i);
  assign wait_o  = enable_i & valid_i & (opcode == bf_pkg::OpWait);
  assign fence_o = is_fence | is_end;
  assign at_end_o = is_end;
  assign mark_o  = enable_i & is_mark & ~marks_full_i;
  assign end_o   = enable_i & is_end & quiet & load_idle_i;
  assign pop_o   = launch | wait_grant_i | mark_o | end_o | signal_o.valid | (enable_i & (is_setx | (is_fence & quiet)));

  assign signal_o.valid  = enable_i & is_signal & idle_o;
  assign signal_o.number = issued_i.instr.arg[3:0];
  assign signal_o.index  = issued_i.index;

  assign fault_o.valid = (is_run & ~run_legal) | (is_mark & marks_full_i);
  assign fault_o.code  = is_run ? bf_pkg::ErrField : bf_pkg::ErrMarks;
  assign fault_o.index = issued_i.index;

  // A count that does not fit becomes 0, an entry that does not fit the last: both are refused where they are used.
  function automatic logic [15:0] count(logic [31:0] value);
    return value[31:16] != '0 ? '0 : value[15:0];
  endfunction
  function automatic logic [15:0] step(logic [31:0] value);    // signed
    return value[31:15] != '0 && value[31:15] != '1 ? 16'h8000 : value[15:0];
  endfunction
  function automatic logic [15:0] entry(logic [31:0] value);
    return value[31:16] != '0 ? '1 : value[15:0];
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      shadow_q <= '0;
    end else if (flush_i) begin
      shadow_q <= '0;
    end else if (enable_i && is_setx) begin
      unique case (issued_i.instr.arg[5:0])
        6'd0:    shadow_q.mode    <= imm[15:0];
        6'd1:    shadow_q.ibase   <= imm;
        6'd2:    shadow_q.x0      <= imm;
        6'd3:    shadow_q.y0      <= imm;
        6'd4:    shadow_q.xend    <= imm;
        6'd5:    shadow_q.yend    <= imm;
        6'd6:    shadow_q.seg     <= count(imm);
        6'd7:    shadow_q.j       <= count(imm);
        6'd8:    shadow_q.jstep   <= imm;
        6'd9:    shadow_q.k       <= count(imm);
        6'd10:   shadow_q.kstep   <= imm;
        6'd11:   shadow_q.px      <= count(imm);
        6'd12:   shadow_q.pxstep  <= imm;
        6'd13:   shadow_q.py      <= count(imm);
        6'd14:   shadow_q.pystep  <= imm;
        6'd15:   shadow_q.ox      <= count(imm);
        6'd16:   shadow_q.oxstep  <= imm;
        6'd17:   shadow_q.oy      <= count(imm);
        6'd18:   shadow_q.oystep  <= imm;
        6'd19:   shadow_q.b       <= count(imm);
        6'd20:   shadow_q.bstep   <= imm;
        6'd21:   shadow_q.nch     <= count(imm);
        6'd22:   shadow_q.noct    <= count(imm);
        6'd23:   shadow_q.gstep   <= imm;
        6'd24:   shadow_q.wbase   <= entry(imm);
        6'd25:   shadow_q.wstep   <= step(imm);
        6'd26:   shadow_q.pbase   <= entry(imm);
        6'd27:   shadow_q.abase   <= entry(imm);
        6'd28:   shadow_q.ostep_x <= imm;
        6'd29:   shadow_q.ostep_y <= imm;
        6'd30:   shadow_q.ostep_b <= imm;
        6'd31:   shadow_q.ostep_o <= imm;
        6'd32:   shadow_q.olast   <= count(imm);
        default: shadow_q.po      <= imm[31:3] != '0 ? '0 : imm[2:0];
      endcase
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      run_valid_q <= 1'b0;
      accepted_q  <= 1'b0;
    end else begin
      accepted_q <= run_valid_q & run_ready_i;
      if (!enable_i)        run_valid_q <= 1'b0;
      else if (launch)      run_valid_q <= 1'b1;
      else if (run_ready_i) run_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (launch) begin
      run_q            <= shadow_q;
      run_q.obase      <= imm;
      run_q.sem_input  <= issued_i.instr.arg[3:0];
      run_q.sem_weight <= issued_i.instr.arg[7:4];
      run_index_q      <= issued_i.index;
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_valid_q && run_ready_i) accepted_index_q <= run_index_q;
  end

  assign run_valid_o = run_valid_q;
  assign run_o       = run_q;
  assign run_index_o = accepted_index_q;

endmodule
