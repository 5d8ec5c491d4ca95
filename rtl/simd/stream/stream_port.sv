// Memory port of the streaming engine: a read FIFO with credits, and a writer that merges bytes which hold foreign bits.
// Requests stand until they are granted. Nothing outside the RAM is requested.
module stream_port #(
  parameter logic [31:0] RamBase   = 32'h4000_0000,
  parameter int unsigned RamBytes  = 4 << 20,      // a multiple of 4
  parameter int unsigned FifoDepth = 8             // power of two: reads in flight and waiting
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  // Reads: a word address is taken when rd_ready_o; one outside the RAM is dropped, and said to be bad in the next cycle.
  input  logic        rd_valid_i,
  output logic        rd_ready_o,
  output logic        rd_bad_o,
  input  logic [29:0] rd_addr_i,
  output logic        data_valid_o,                // oldest answer
  output logic [31:0] data_o,
  input  logic        data_pop_i,

  // Writes of the bits of wr_mask_i; one outside the RAM as a read
  input  logic        wr_valid_i,
  output logic        wr_ready_o,
  output logic        wr_bad_o,
  input  logic [29:0] wr_addr_i,
  input  logic [31:0] wr_data_i,
  input  logic [31:0] wr_mask_i,
  input  logic        wr_partial_i,                // wr_mask_i splits a byte

  output logic        idle_o,                      // no request, no answer awaited or waiting

  output logic        mem_req_o,
  output logic        mem_we_o,
  output logic [3:0]  mem_be_o,
  output logic [31:0] mem_addr_o,
  output logic [31:0] mem_wdata_o,
  input  logic        mem_gnt_i,
  input  logic        mem_rvalid_i,
  input  logic [31:0] mem_rdata_i
);

  localparam int unsigned PtrW = $clog2(FifoDepth);

  // A RAM that lies at a multiple of its size, a power of two, is known by the upper bits.
  localparam int unsigned RamShift = $clog2(RamBytes / 4);
  localparam bit          Aligned  = (RamBytes / 4 == 1 << RamShift) && (RamBase & 32'(RamBytes - 1)) == '0;
  function automatic logic in_ram(logic [29:0] word);
    if (Aligned) return (word >> RamShift) == (RamBase[31:2] >> RamShift);
    return (word - RamBase[31:2]) < 30'(RamBytes / 4);
  endfunction

  typedef enum logic [2:0] {
    WrIdle,
    WrWrite,
    WrDrain,    // partial: until all reads are answered
    WrRead,
    WrMerge
  } wr_state_e;

  wr_state_e       wr_state_q, wr_state_d;
  logic [29:0]     wr_addr_q, rq_addr_q;
  logic [31:0]     wr_data_q, wr_mask_q;
  logic            rq_valid_q, rq_bad_q, lock_q, rq_grant, rq_select, wr_take, wr_bad_q, rmw;
  logic [PtrW:0]   credit_q;         // free places
  logic [PtrW:0]   flight_q;         // reads granted and not answered
  logic [PtrW:0]   level_q;          // answers waiting
  logic [PtrW-1:0] head_q, tail_q;
  logic [31:0]     fifo [FifoDepth];
  logic            push, take;

  // Request register
  assign rd_bad_o   = rq_valid_q & rq_bad_q;
  assign rmw        = (wr_state_q == WrDrain) | (wr_state_q == WrRead) | (wr_state_q == WrMerge);
  assign rd_ready_o = (credit_q != '0) & (~rq_valid_q | rq_grant) & ~rmw;
  assign take       = rd_valid_i & rd_ready_o;

  // A read that was put up and not granted keeps the port; else writes go first.
  assign rq_select = rq_valid_q & ~rq_bad_q & (lock_q | ~((wr_state_q == WrWrite) | (wr_state_q == WrRead)));
  assign rq_grant  = rq_select & mem_gnt_i;

  always_comb begin
    mem_req_o   = 1'b0;
    mem_we_o    = 1'b0;
    mem_be_o    = 4'hF;
    mem_addr_o  = {rq_addr_q, 2'b00};
    mem_wdata_o = wr_data_q;
    if (rq_select) begin
      mem_req_o = 1'b1;
    end else if (wr_state_q == WrWrite && !wr_bad_q) begin
      mem_req_o  = 1'b1;
      mem_we_o   = 1'b1;
      mem_addr_o = {wr_addr_q, 2'b00};
      mem_be_o   = {|wr_mask_q[31:24], |wr_mask_q[23:16], |wr_mask_q[15:8], |wr_mask_q[7:0]};
    end else if (wr_state_q == WrRead) begin
      mem_req_o  = 1'b1;
      mem_addr_o = {wr_addr_q, 2'b00};
    end
  end

  // Writer
  logic wr_done;
  assign wr_done    = (wr_state_q == WrWrite) & ~wr_bad_q & ~rq_select & mem_gnt_i;
  assign wr_bad_o   = (wr_state_q != WrIdle) & wr_bad_q;
  assign wr_ready_o = (wr_state_q == WrIdle) | wr_done;
  assign wr_take    = wr_valid_i & wr_ready_o;

  always_comb begin
    wr_state_d = wr_state_q;
    unique case (wr_state_q)
      WrWrite: if (wr_done) wr_state_d = WrIdle;
      WrDrain: if (!rq_valid_q && flight_q == '0) wr_state_d = WrRead;
      WrRead:  if (mem_gnt_i) wr_state_d = WrMerge;
      WrMerge: if (mem_rvalid_i) wr_state_d = WrWrite;
      default: ;
    endcase
    if (wr_take)  wr_state_d = wr_partial_i ? WrDrain : WrWrite;
    if (wr_bad_o) wr_state_d = WrIdle;
  end

  assign push = mem_rvalid_i & (wr_state_q != WrMerge);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_state_q <= WrIdle;
      rq_valid_q <= 1'b0;
      lock_q     <= 1'b0;
      credit_q   <= (PtrW+1)'(FifoDepth);
      flight_q   <= '0;
      level_q    <= '0;
      head_q     <= '0;
      tail_q     <= '0;
    end else begin
      wr_state_q <= wr_state_d;
      lock_q     <= rq_select & ~mem_gnt_i;
      if (take)          rq_valid_q <= 1'b1;
      else if (rq_grant || rd_bad_o) rq_valid_q <= 1'b0;
      credit_q <= credit_q + (PtrW+1)'(data_pop_i) + (PtrW+1)'(rd_bad_o) - (PtrW+1)'(take);
      flight_q <= flight_q + (PtrW+1)'(rq_grant) - (PtrW+1)'(push);
      level_q  <= level_q + (PtrW+1)'(push) - (PtrW+1)'(data_pop_i);
      if (data_pop_i) head_q <= head_q + PtrW'(1);
      if (push)       tail_q <= tail_q + PtrW'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      rq_addr_q <= rd_addr_i;
      rq_bad_q  <= ~in_ram(rd_addr_i);
    end
    if (push) fifo[tail_q] <= mem_rdata_i;
    if (wr_take) begin
      wr_addr_q <= wr_addr_i;
      wr_data_q <= wr_data_i;
      wr_mask_q <= wr_mask_i;
      wr_bad_q  <= ~in_ram(wr_addr_i);
    end else if (wr_state_q == WrMerge && mem_rvalid_i) begin
      wr_data_q <= (mem_rdata_i & ~wr_mask_q) | (wr_data_q & wr_mask_q);
    end
  end

  assign data_valid_o = level_q != '0;
  assign data_o       = fifo[head_q];
  assign idle_o       = (wr_state_q == WrIdle) & (credit_q == (PtrW+1)'(FifoDepth));

endmodule
