// Issue: counts the loops of a run, a token a chunk. A token tells the array, the accumulators and post-processing what to do with it.
// Issues only what the store unit has room for, so that nothing behind it ever waits.
module bf_issue
  import bf_pkg::*;
  import bf_back_pkg::*;
#(
  parameter int unsigned Cols        = 32,
  parameter int unsigned WbufRows    = 32,
  parameter int unsigned ObufEntries = 128,
  parameter int unsigned ParamDepth  = 32,
  localparam int unsigned LenWidth   = $clog2(4 * Cols + 1)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                stop_i,

  input  logic                run_valid_i,
  output logic                run_ready_o,
  input  back_run_t           run_i,

  input  logic                chunk_valid_i,
  output logic                chunk_ready_o,

  output logic                token_o,
  output logic                row_read_o,      // of WBUF
  output logic [15:0]         row_o,
  output unit_ctl_t           unit_o,
  output acc_ctl_t            acc_o,
  output logic                post_valid_o,
  output post_ctl_t           post_o,

  output logic                item_valid_o,    // the token completes a vector of the output
  output logic [31:0]         item_addr_o,
  output logic [LenWidth-1:0] item_len_o,
  input  logic                item_done_i,     // one that the store unit no longer holds

  output logic                busy_o,
  output logic                wait_patch_o,
  output logic                wait_store_o,
  output logic                error_o          // a row or an entry beyond the end of its buffer
);

  // Runs that wait
  back_run_t next, run_q;
  logic      next_valid, queue_full, load, done, active_q;

  fifo #(.Width($bits(back_run_t)), .Depth(RunDepth)) u_runs (
    .clk_i, .rst_ni,
    .push_i  (run_valid_i & ~stop_i),
    .data_i  (run_i),
    .full_o  (queue_full),
    .pop_i   (load | stop_i),
    .valid_o (next_valid),
    .data_o  (next)
  );
  assign run_ready_o = ~queue_full;
  assign load        = next_valid & (~active_q | done) & ~stop_i;
  assign busy_o      = active_q | next_valid;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)               active_q <= 1'b0;
    else if (stop_i)           active_q <= 1'b0;
    else if (load || done)     active_q <= load;
  end
  always_ff @(posedge clk_i) begin
    if (load) run_q <= next;
  end

  // Loops, innermost first
  logic inner_last, outer_last, o_last, px_last, py_last, ox_last, oy_last, b_last;
  logic result, octets, window, row, image;      // the token ends this level and all within
  bf_loop u_inner (.clk_i, .load_i(load), .count_i(next.inner), .step_i(token_o), .last_o(inner_last));
  bf_loop u_outer (.clk_i, .load_i(load), .count_i(next.outer), .step_i(token_o & inner_last), .last_o(outer_last));
  bf_loop u_o     (.clk_i, .load_i(load), .count_i(next.noct),  .step_i(token_o & result), .last_o(o_last));
  bf_loop u_px    (.clk_i, .load_i(load), .count_i(next.px), .step_i(token_o & octets), .last_o(px_last));
  bf_loop u_py    (.clk_i, .load_i(load), .count_i(next.py), .step_i(token_o & octets & px_last), .last_o(py_last));
  bf_loop u_ox    (.clk_i, .load_i(load), .count_i(next.ox), .step_i(token_o & window), .last_o(ox_last));
  bf_loop u_oy    (.clk_i, .load_i(load), .count_i(next.oy), .step_i(token_o & row),    .last_o(oy_last));
  bf_loop u_b     (.clk_i, .load_i(load), .count_i(next.b),  .step_i(token_o & image),  .last_o(b_last));
  assign result = inner_last & outer_last;
  assign octets = result & o_last;
  assign window = octets & px_last & py_last;
  assign row    = window & ox_last;
  assign image  = row & oy_last;
  assign done   = token_o & image & b_last;

  // Position in a pooling window
  logic       first_q, kernel_row_0_q, window_first_q, po_last, mac;
  logic [1:0] po_q;
  logic [4:0] slot_q;
  assign po_last = {1'b0, po_q} + 3'd1 == run_q.po;
  assign mac     = run_q.mode.vector & (run_q.mode.vector_op == VecMac);
  always_ff @(posedge clk_i) begin
    if (load) begin
      first_q        <= 1'b1;
      kernel_row_0_q <= 1'b1;
      window_first_q <= 1'b1;
      po_q           <= '0;
      slot_q         <= '0;
    end else if (token_o) begin
      first_q        <= result;
      kernel_row_0_q <= result | (kernel_row_0_q & ~inner_last);
      if (result) begin
        po_q <= po_last ? '0 : po_q + 2'd1;
        if (po_last) slot_q <= o_last ? '0 : slot_q + 5'd1;
      end
      if (octets) window_first_q <= window;
    end
  end

  // Rows of WBUF; entries of PBUF and OBUF
  logic [16:0] row_q, octet_row_q, param_q, entry_q;
  logic [2:0]  sub_q, sub_end;
  logic        next_word;
  assign sub_end   = run_q.mode.wgt_log2 == 2'd0 ? 3'((4'd1 << compute_log2(run_q.mode.act_log2)) - 4'd1)
                                                 : 3'((4'd1 << (compute_log2(run_q.mode.act_log2) - 2'd1)) - 4'd1);
  assign next_word = sub_q == sub_end;
  always_ff @(posedge clk_i) begin
    if (load) begin
      row_q       <= {1'b0, next.wbase};
      octet_row_q <= {1'b0, next.wbase};
      param_q     <= {1'b0, next.pbase};
      entry_q     <= {1'b0, next.abase};
      sub_q       <= '0;
    end else if (token_o) begin
      if (result) begin
        row_q       <= o_last ? {1'b0, run_q.wbase} : octet_row_q + {1'b0, run_q.wstep};
        octet_row_q <= o_last ? {1'b0, run_q.wbase} : octet_row_q + {1'b0, run_q.wstep};
        entry_q     <= entry_q + 17'd1;
        sub_q       <= '0;
      end else begin
        if (next_word) row_q <= row_q + 17'd1;
        sub_q <= next_word ? '0 : sub_q + 3'd1;
      end
      if (run_q.mode.vector) param_q <= mac & ~result ? param_q + 17'd1 : {1'b0, run_q.pbase};
      else if (result)       param_q <= o_last ? {1'b0, run_q.pbase} : param_q + 17'd1;
    end
  end

  // Addresses in memory
  logic [31:0] addr_q, base_x_q, base_y_q, base_b_q, sum_x, sum_y, sum_b;
  assign sum_x = base_x_q + run_q.ostep_x;
  assign sum_y = base_y_q + run_q.ostep_y;
  assign sum_b = base_b_q + run_q.ostep_b;
  always_ff @(posedge clk_i) begin
    if (load) begin
      addr_q   <= next.obase;
      base_x_q <= next.obase;
      base_y_q <= next.obase;
      base_b_q <= next.obase;
    end else if (token_o) begin
      if (window) begin
        addr_q   <= image ? sum_b : row ? sum_y : sum_x;
        base_x_q <= image ? sum_b : row ? sum_y : sum_x;
        if (row)   base_y_q <= image ? sum_b : sum_y;
        if (image) base_b_q <= sum_b;
      end else if (octets) begin
        addr_q <= base_x_q;
      end else if (result && po_last) begin
        addr_q <= addr_q + run_q.ostep_o;
      end
    end
  end

  // Credits
  localparam int unsigned CreditWidth = $clog2(ItemDepth + 1);
  logic [CreditWidth-1:0] credits_q;
  logic                   room_q, item, emits;
  assign emits = run_q.mode.emit & result;
  assign item  = emits & po_last & px_last & py_last;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      credits_q <= CreditWidth'(ItemDepth);
      room_q    <= 1'b1;
    end else if (stop_i) begin
      credits_q <= CreditWidth'(ItemDepth);
      room_q    <= 1'b1;
    end else if (item_valid_o != item_done_i) begin
      credits_q <= item_done_i ? credits_q + 1'b1 : credits_q - 1'b1;
      room_q    <= item_done_i | (credits_q != CreditWidth'(1));
    end
  end

  assign token_o       = active_q & chunk_valid_i & (room_q | ~item) & ~stop_i;
  assign chunk_ready_o = token_o | stop_i;
  assign wait_patch_o  = active_q & ~chunk_valid_i;
  assign wait_store_o  = active_q & chunk_valid_i & item & ~room_q;

  assign row_read_o = token_o & ~run_q.mode.vector & (sub_q == '0);
  assign row_o      = row_q[15:0];
  assign unit_o = '{
    act_log2:   run_q.mode.act_log2,
    wgt_log2:   run_q.mode.wgt_log2,
    act_signed: mac & ~kernel_row_0_q ? run_q.mode.wgt_signed : run_q.mode.act_signed,
    wgt_signed: run_q.mode.wgt_signed,
    vector:     run_q.mode.vector,
    left_out:   run_q.mode.vector_op == VecMax,
    sub:        sub_q
  };
  assign acc_o = '{
    first:      first_q | mac,
    init:       run_q.mode.init,
    last:       result,
    emit:       run_q.mode.emit,
    max:        run_q.mode.vector & (run_q.mode.vector_op == VecMax),
    entry:      entry_q[15:0],
    run_last:   image & b_last,
    sem_weight: run_q.sem_weight
  };
  assign post_valid_o = token_o & (emits | mac);
  assign post_o = '{
    mac:        mac,
    mac_first:  first_q,
    mac_last:   result,
    requant:    run_q.mode.requant,
    out_wide:   run_q.mode.out_wide,
    out_signed: run_q.mode.out_signed,
    out_log2:   run_q.mode.out_log2,
    pool_first: window_first_q & (po_q == '0),
    pool_last:  po_last & px_last & py_last,
    slot:       slot_q,
    param:      param_q[15:0]
  };

  logic [LenWidth-1:0] full_len;
  assign full_len     = run_q.mode.out_wide ? LenWidth'(4 * Cols) : LenWidth'((32'(Cols) << run_q.mode.out_log2) >> 3);
  assign item_valid_o = token_o & item;
  assign item_addr_o  = addr_q;
  assign item_len_o   = o_last ? LenWidth'(run_q.olast) : full_len;

  // Beyond the end of a buffer
  logic error_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) error_q <= 1'b0;
    else begin
      error_q <= token_o & ((~run_q.mode.vector & (32'(row_q) >= 32'(WbufRows)))
                            | (~(run_q.mode.init & run_q.mode.emit) & (32'(entry_q) >= 32'(ObufEntries)))
                            | (run_q.mode.emit & run_q.mode.requant & (32'(param_q) >= 32'(ParamDepth))));
    end
  end
  assign error_o = error_q;

  logic unused;
  assign unused = ^{run_q, row_q};

endmodule
