// Receiving side of the load unit: beats come back in the order in which they were requested, so the transfers alone say where each goes.
module bf_load_write
  import bf_control_pkg::*;
#(
  parameter int unsigned Depth = 32    // transfers under way
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            flush_i,
  input  logic            push_i,
  input  transfer_t       transfer_i,
  output logic            full_o,

  input  logic            beat_valid_i,
  output logic            beat_ready_o,
  output logic            buf_we_o,
  output bf_pkg::buffer_e buf_sel_o,
  output logic [31:0]     buf_addr_o,     // in beats

  output signal_t         signal_o,
  output logic [15:0]     index_o,        // of the instruction that the beat is for
  output logic            idle_o
);

  logic        head_valid, next, busy_q, row_done, done, take;
  transfer_t   head, current_q;
  logic [15:0] left_q, rows_left_q;
  logic [31:0] addr_q, row_addr_q;

  fifo #(
    .Width($bits(transfer_t)),
    .Depth(Depth)
  ) u_transfers (
    .clk_i,
    .rst_ni,
    .push_i,
    .data_i (transfer_i),
    .full_o,
    .pop_i  (next | flush_i),
    .valid_o(head_valid),
    .data_o (head)
  );

  assign beat_ready_o = busy_q & ~current_q.signal_only;
  assign take         = beat_valid_i & beat_ready_o;
  assign row_done     = left_q == 16'd1;
  assign done         = busy_q & (current_q.signal_only | (take & row_done & (rows_left_q == 16'd1)));
  assign next         = head_valid & (~busy_q | done);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      busy_q <= 1'b0;
    else if (flush_i) busy_q <= 1'b0;
    else if (next)    busy_q <= 1'b1;
    else if (done)    busy_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (next) begin
      current_q   <= head;
      left_q      <= head.beats;
      rows_left_q <= head.rows;
      addr_q      <= head.dst;
      row_addr_q  <= head.dst;
    end else if (take) begin
      if (row_done) begin
        left_q      <= current_q.beats;
        rows_left_q <= rows_left_q - 16'd1;
        addr_q      <= row_addr_q + current_q.dstride;
        row_addr_q  <= row_addr_q + current_q.dstride;
      end else begin
        left_q <= left_q - 16'd1;
        addr_q <= addr_q + 32'd1;
      end
    end
  end

  assign buf_we_o   = take;
  assign buf_sel_o  = current_q.target;
  assign buf_addr_o = addr_q;
  assign index_o    = current_q.index;
  assign idle_o     = ~busy_q & ~head_valid;

  logic unused_ok;
  assign unused_ok = &{1'b0, current_q.rows, current_q.dst};

  assign signal_o.valid  = done & (current_q.semaphore != bf_pkg::NoSemaphore);
  assign signal_o.number = current_q.semaphore;
  assign signal_o.index  = current_q.index;

endmodule
