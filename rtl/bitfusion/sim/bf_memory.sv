// AXI4 memory for simulation. Reads and writes share a bandwidth; a read answers after a latency, and so does the acknowledgement of a write;
// channels can be stalled at random. Reads of ID 1 and of all other IDs are two streams: within one they answer in order, and a burst
// is never interrupted. Each beat costs a bus width of bandwidth, whatever its strobes.
module bf_memory #(
  parameter int unsigned BusBits  = 256,
  parameter int unsigned MemBytes = 64 << 20,   // addresses from 0; beyond is DECERR
  parameter bit          KeepData = 1'b1        // 0: writes are forgotten
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic [31:0]          bandwidth_i,       // bits a cycle
  input  logic [31:0]          read_latency_i,    // cycles from address to first beat, at least 2
  input  logic [31:0]          write_latency_i,   // from last beat to answer, at least 2
  input  logic [7:0]           stall_i,           // in 256: chance that a channel stands still in a cycle
  input  logic [31:0]          seed_i,            // of the stalls, taken in reset; not 0

  input  logic                 awvalid_i,
  output logic                 awready_o,
  input  logic [3:0]           awid_i,
  input  logic [31:0]          awaddr_i,
  input  logic [7:0]           awlen_i,
  input  logic                 wvalid_i,
  output logic                 wready_o,
  input  logic [BusBits-1:0]   wdata_i,
  input  logic [BusBits/8-1:0] wstrb_i,
  input  logic                 wlast_i,
  output logic                 bvalid_o,
  input  logic                 bready_i,
  output logic [3:0]           bid_o,
  output logic [1:0]           bresp_o,
  input  logic                 arvalid_i,
  output logic                 arready_o,
  input  logic [3:0]           arid_i,
  input  logic [31:0]          araddr_i,
  input  logic [7:0]           arlen_i,
  output logic                 rvalid_o,
  input  logic                 rready_i,
  output logic [3:0]           rid_o,
  output logic [BusBits-1:0]   rdata_o,
  output logic [1:0]           rresp_o,
  output logic                 rlast_o
);

  localparam int unsigned BeatBytes = BusBits / 8;
  localparam int unsigned BeatShift = $clog2(BeatBytes);
  localparam int unsigned Words     = MemBytes / BeatBytes;
  localparam int unsigned Depth     = 1024;        // requests waiting, of each kind
  localparam int unsigned PtrW      = $clog2(Depth);
  localparam logic [1:0]  DecErr    = 2'b11;

  typedef struct packed {
    logic [31:0] addr;
    logic [7:0]  len;
    logic [3:0]  id;
    logic [31:0] due;      // cycle
  } request_t;

  logic [BusBits-1:0] mem [Words];

  logic [31:0] now_q, random_q, tokens_q;
  logic [3:0]  stall;         // AR, R, AW and W, B
  assign stall = stall_i == '0 ? '0 : {random_q[31:24] < stall_i, random_q[23:16] < stall_i,
                                       random_q[15:8] < stall_i, random_q[7:0] < stall_i};

  function automatic logic [31:0] xorshift(logic [31:0] x);
    logic [31:0] y;
    y = x ^ (x << 13);
    y = y ^ (y >> 17);
    return y ^ (y << 5);
  endfunction

  // Requests of the two read streams, of writes, and answers to writes
  request_t      read_mem0 [Depth], read_mem1 [Depth], write_mem [Depth], answer_mem [Depth];
  logic [PtrW:0] read_in0_q, read_out0_q, read_in1_q, read_out1_q, write_in_q, write_out_q, answer_in_q, answer_out_q;

  function automatic logic full(logic [PtrW:0] in, logic [PtrW:0] out);
    return in == {~out[PtrW], out[PtrW-1:0]};
  endfunction
  function automatic logic due(logic [31:0] when_due);
    return now_q - when_due < 32'h8000_0000;
  endfunction

  assign arready_o = ~full(read_in0_q, read_out0_q) & ~full(read_in1_q, read_out1_q) & ~stall[0];
  assign awready_o = ~full(write_in_q, write_out_q) & ~stall[2];

  // Reads
  request_t    head0, head1, head;
  logic        due0, due1, in_burst_q, stream_q, stream, want_read, read_beat, read_last;
  logic [7:0]  read_count_q, read_count;
  logic [31:0] read_addr;
  assign head0      = read_mem0[read_out0_q[PtrW-1:0]];
  assign head1      = read_mem1[read_out1_q[PtrW-1:0]];
  assign due0       = (read_in0_q != read_out0_q) & due(head0.due);
  assign due1       = (read_in1_q != read_out1_q) & due(head1.due);
  assign stream     = in_burst_q ? stream_q : due1;
  assign head       = stream ? head1 : head0;
  assign read_count = in_burst_q ? read_count_q : '0;
  assign read_addr  = head.addr + (32'(read_count) << BeatShift);
  assign read_last  = read_count == head.len;
  assign want_read  = (in_burst_q | due0 | due1) & (~rvalid_o | rready_i) & ~stall[1];

  // Writes
  request_t    target;
  logic        want_write, write_beat, write_last, write_first_q;
  logic [7:0]  write_count_q;
  logic [31:0] write_addr;
  assign target     = write_mem[write_out_q[PtrW-1:0]];
  assign write_addr = target.addr + (32'(write_count_q) << BeatShift);
  assign write_last = write_count_q == target.len;
  assign want_write = wvalid_i & (write_in_q != write_out_q) & ~full(answer_in_q, answer_out_q) & ~stall[2];

  // Both, one or none, by what the bandwidth has left; who went last waits.
  logic both, one;
  assign both       = tokens_q >= 2 * BusBits;
  assign one        = tokens_q >= BusBits;
  assign read_beat  = want_read & (both | (one & ~(want_write & write_first_q)));
  assign write_beat = want_write & (both | (one & ~(want_read & ~write_first_q)));
  assign wready_o   = write_beat;

  function automatic logic [31:0] refill(logic [31:0] tokens);
    logic [31:0] most, sum;
    most = bandwidth_i > BusBits ? BusBits + bandwidth_i : 2 * BusBits;
    sum  = tokens + bandwidth_i;
    return sum > most ? most : sum;
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      now_q         <= '0;
      random_q      <= seed_i;
      tokens_q      <= '0;
      read_in0_q    <= '0;
      read_out0_q   <= '0;
      read_in1_q    <= '0;
      read_out1_q   <= '0;
      write_in_q    <= '0;
      write_out_q   <= '0;
      answer_in_q   <= '0;
      answer_out_q  <= '0;
      in_burst_q    <= 1'b0;
      stream_q      <= 1'b0;
      read_count_q  <= '0;
      write_count_q <= '0;
      write_first_q <= 1'b0;
      rvalid_o      <= 1'b0;
      bvalid_o      <= 1'b0;
    end else begin
      now_q    <= now_q + 32'd1;
      tokens_q <= refill(tokens_q - (read_beat ? BusBits : 0) - (write_beat ? BusBits : 0));
      if (stall_i != '0) random_q <= xorshift(random_q);

      if (arvalid_i && arready_o) begin
        if (arid_i == 4'd1) read_in1_q <= read_in1_q + 1'b1;
        else                read_in0_q <= read_in0_q + 1'b1;
      end
      if (read_beat) begin
        rvalid_o      <= 1'b1;
        write_first_q <= 1'b1;
        stream_q      <= stream;
        in_burst_q    <= ~read_last;
        read_count_q  <= read_count + 8'd1;
        if (read_last && stream)  read_out1_q <= read_out1_q + 1'b1;
        if (read_last && !stream) read_out0_q <= read_out0_q + 1'b1;
      end else if (rready_i) begin
        rvalid_o <= 1'b0;
      end

      if (awvalid_i && awready_o) write_in_q <= write_in_q + 1'b1;
      if (write_beat) begin
        if (wlast_i != write_last) $error("WLAST does not fit the length of the burst at %h", target.addr);
        write_first_q <= 1'b0;
        write_count_q <= write_last ? '0 : write_count_q + 8'd1;
        if (write_last) begin
          write_out_q <= write_out_q + 1'b1;
          answer_in_q <= answer_in_q + 1'b1;
        end
      end
      if (answer_in_q != answer_out_q && due(answer_mem[answer_out_q[PtrW-1:0]].due) && (!bvalid_o || bready_i) && !stall[3]) begin
        bvalid_o     <= 1'b1;
        answer_out_q <= answer_out_q + 1'b1;
      end else if (bready_i) begin
        bvalid_o <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (arvalid_i && arready_o) begin
      if (arid_i == 4'd1) read_mem1[read_in1_q[PtrW-1:0]] <= '{araddr_i, arlen_i, arid_i, now_q + read_latency_i - 32'd1};
      else                read_mem0[read_in0_q[PtrW-1:0]] <= '{araddr_i, arlen_i, arid_i, now_q + read_latency_i - 32'd1};
    end
    if (read_beat) begin
      rid_o   <= head.id;
      rlast_o <= read_last;
      rresp_o <= (read_addr >> BeatShift) < Words ? 2'b00 : DecErr;
      rdata_o <= (read_addr >> BeatShift) < Words ? mem[read_addr[$clog2(Words)+BeatShift-1:BeatShift]] : '0;
    end
    if (awvalid_i && awready_o) write_mem[write_in_q[PtrW-1:0]] <= '{awaddr_i, awlen_i, awid_i, '0};
    if (write_beat && write_last) begin
      answer_mem[answer_in_q[PtrW-1:0]] <= '{write_addr, '0, target.id, now_q + write_latency_i - 32'd1};
    end
    if ((!bvalid_o || bready_i) && answer_in_q != answer_out_q) begin
      bid_o   <= answer_mem[answer_out_q[PtrW-1:0]].id;
      bresp_o <= (answer_mem[answer_out_q[PtrW-1:0]].addr >> BeatShift) < Words ? 2'b00 : DecErr;
    end
  end

  if (KeepData) begin : gen_write
    always_ff @(posedge clk_i) begin
      if (write_beat && (write_addr >> BeatShift) < Words) begin
        if (&wstrb_i) begin
          mem[write_addr[$clog2(Words)+BeatShift-1:BeatShift]] <= wdata_i;
        end else begin
          for (int unsigned i = 0; i < BeatBytes; i++) begin
            if (wstrb_i[i]) mem[write_addr[$clog2(Words)+BeatShift-1:BeatShift]][8*i +: 8] <= wdata_i[8*i +: 8];
          end
        end
      end
    end
  end

  logic unused_ok;
  assign unused_ok = &{1'b0, head.due, target.due};

  // Files: byte 0 of a file is the byte at *address*, a multiple of a beat.
  task automatic load_file(string path, logic [31:0] address);
    int file, count, first, last;
    file = $fopen(path, "rb");
    if (file == 0) $fatal(1, "cannot read %s", path);
    first = int'(address >> BeatShift);
    count = $fread(mem, file, first);
    last  = first + (count + int'(BeatBytes) - 1) / int'(BeatBytes);
    $fclose(file);
    for (int w = first; w < last; w++) mem[w] = {<<8{mem[w]}};    // a file's first byte was put at the top
  endtask

  task automatic dump_file(string path, logic [31:0] address, logic [31:0] bytes);
    int file;
    file = $fopen(path, "wb");
    if (file == 0) $fatal(1, "cannot write %s", path);
    for (int unsigned w = address >> BeatShift; w < (address + bytes) >> BeatShift; w++) $fwrite(file, "%u", mem[w]);
    $fclose(file);
  endtask

  task automatic zero(logic [31:0] address, logic [31:0] bytes);
    for (int unsigned w = address >> BeatShift; w < (address + bytes + BeatBytes - 1) >> BeatShift; w++) mem[w] = '0;
  endtask

endmodule
