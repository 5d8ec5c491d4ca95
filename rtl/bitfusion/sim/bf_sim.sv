// Top for simulation: the accelerator, a memory, a clock, and a sequencer that does what a script says, so that no cycle needs Python.
// Plusarg +script=FILE. A command a line; numbers are hexadecimal; a path is the rest of its line.
//   load ADDRESS PATH          file into memory at a multiple of a beat
//   zero ADDRESS BYTES
//   dump ADDRESS BYTES PATH    whole beats of memory into a file
//   memory BANDWIDTH READ_LATENCY WRITE_LATENCY STALL SEED   as in bf_memory; with a reset
//   write OFFSET VALUE         register, by AXI4-Lite
//   run CYCLES                 start, then wait for the end; after CYCLES it is called hung (reset it with memory)
//   report PATH                status, counters and marks, read by AXI4-Lite, as JSON
// done_o rises after the last command. Each edge of tick_i carries the simulation on by ClocksPerTick cycles: the clock oscillates by itself
// within one evaluation of the model, so that neither the scheduler of delays nor the simulator's interface sees single cycles.
module bf_sim #(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned BusBits    = 256,
  parameter int unsigned IbufBytes  = 32 * 1024,
  parameter int unsigned WbufBytes  = 64 * 1024,
  parameter int unsigned ObufBytes  = 16 * 1024,
  parameter int unsigned PatchDepth = 64,
  parameter int unsigned ParamDepth = 32,
  parameter int unsigned Build      = bf_pkg::BuildFunctional,
  parameter int unsigned MemBytes   = 64 << 20,
  parameter int unsigned ClocksPerTick = 4096       // at most half of Verilator's --converge-limit
) (
  input  logic tick_i /*verilator public_flat_rw*/,
  output logic done_o /*verilator public_flat_rd*/
);

  logic        clk, rst_n, tick_seen;
  logic [31:0] edges_left;
  initial clk = 1'b0;
  initial tick_seen = 1'b0;
  initial edges_left = '0;

  // verilator lint_off BLKSEQ
  always @(tick_i, clk) begin
    if (tick_i != tick_seen) edges_left = 2 * ClocksPerTick;
    tick_seen = tick_i;
    if (edges_left != '0 && !done_o) begin
      edges_left = edges_left - 32'd1;
      clk <= ~clk;
    end
  end
  // verilator lint_on BLKSEQ

  // Registers
  logic        aw_valid, aw_ready, w_valid, w_ready, b_valid, ar_valid, ar_ready, r_valid, r_ready, busy;
  logic [15:0] aw_addr, ar_addr;
  logic [31:0] w_data, r_data;
  logic [1:0]  b_resp, r_resp;

  // Memory
  logic                 awvalid, awready, wvalid, wready, wlast, bvalid, bready, arvalid, arready, rvalid, rready, rlast;
  logic [3:0]           awid, bid, arid, rid;
  logic [31:0]          awaddr, araddr;
  logic [7:0]           awlen, arlen;
  logic [2:0]           awsize, arsize;
  logic [1:0]           awburst, arburst, bresp, rresp;
  logic [BusBits-1:0]   wdata, rdata;
  logic [BusBits/8-1:0] wstrb;
  logic [31:0]          bandwidth, read_latency, write_latency, seed;
  logic [7:0]           stall;

  bf_top #(
    .Rows(Rows), .Cols(Cols), .BusBits(BusBits), .IbufBytes(IbufBytes), .WbufBytes(WbufBytes), .ObufBytes(ObufBytes),
    .PatchDepth(PatchDepth), .ParamDepth(ParamDepth), .Build(Build)
  ) u_top (
    .clk_i           (clk),
    .rst_ni          (rst_n),
    .s_axil_awvalid_i(aw_valid),
    .s_axil_awready_o(aw_ready),
    .s_axil_awaddr_i (aw_addr),
    .s_axil_wvalid_i (w_valid),
    .s_axil_wready_o (w_ready),
    .s_axil_wdata_i  (w_data),
    .s_axil_wstrb_i  (4'hF),
    .s_axil_bvalid_o (b_valid),
    .s_axil_bready_i (1'b1),
    .s_axil_bresp_o  (b_resp),
    .s_axil_arvalid_i(ar_valid),
    .s_axil_arready_o(ar_ready),
    .s_axil_araddr_i (ar_addr),
    .s_axil_rvalid_o (r_valid),
    .s_axil_rready_i (r_ready),
    .s_axil_rdata_o  (r_data),
    .s_axil_rresp_o  (r_resp),
    .busy_o          (busy),
    .m_axi_awvalid_o (awvalid),
    .m_axi_awready_i (awready),
    .m_axi_awid_o    (awid),
    .m_axi_awaddr_o  (awaddr),
    .m_axi_awlen_o   (awlen),
    .m_axi_awsize_o  (awsize),
    .m_axi_awburst_o (awburst),
    .m_axi_wvalid_o  (wvalid),
    .m_axi_wready_i  (wready),
    .m_axi_wdata_o   (wdata),
    .m_axi_wstrb_o   (wstrb),
    .m_axi_wlast_o   (wlast),
    .m_axi_bvalid_i  (bvalid),
    .m_axi_bready_o  (bready),
    .m_axi_bid_i     (bid),
    .m_axi_bresp_i   (bresp),
    .m_axi_arvalid_o (arvalid),
    .m_axi_arready_i (arready),
    .m_axi_arid_o    (arid),
    .m_axi_araddr_o  (araddr),
    .m_axi_arlen_o   (arlen),
    .m_axi_arsize_o  (arsize),
    .m_axi_arburst_o (arburst),
    .m_axi_rvalid_i  (rvalid),
    .m_axi_rready_o  (rready),
    .m_axi_rid_i     (rid),
    .m_axi_rdata_i   (rdata),
    .m_axi_rresp_i   (rresp),
    .m_axi_rlast_i   (rlast)
  );

  bf_memory #(
    .BusBits (BusBits),
    .MemBytes(MemBytes),
    .KeepData(Build != bf_pkg::BuildTiming)
  ) u_memory (
    .clk_i          (clk),
    .rst_ni         (rst_n),
    .bandwidth_i    (bandwidth),
    .read_latency_i (read_latency),
    .write_latency_i(write_latency),
    .stall_i        (stall),
    .seed_i         (seed),
    .awvalid_i      (awvalid),
    .awready_o      (awready),
    .awid_i         (awid),
    .awaddr_i       (awaddr),
    .awlen_i        (awlen),
    .wvalid_i       (wvalid),
    .wready_o       (wready),
    .wdata_i        (wdata),
    .wstrb_i        (wstrb),
    .wlast_i        (wlast),
    .bvalid_o       (bvalid),
    .bready_i       (bready),
    .bid_o          (bid),
    .bresp_o        (bresp),
    .arvalid_i      (arvalid),
    .arready_o      (arready),
    .arid_i         (arid),
    .araddr_i       (araddr),
    .arlen_i        (arlen),
    .rvalid_o       (rvalid),
    .rready_i       (rready),
    .rid_o          (rid),
    .rdata_o        (rdata),
    .rresp_o        (rresp),
    .rlast_o        (rlast)
  );

  // Every burst lies in the window that was written last and within 4 KiB, and takes whole beats.
  logic [31:0] window_base, window_bytes, escapes;

  function automatic logic escapes_window(logic [31:0] address, logic [7:0] length, logic [2:0] size, logic [1:0] burst);
    logic [32:0] last;
    last = 33'(address) + ((33'(length) + 33'd1) << $clog2(BusBits / 8)) - 33'd1;
    return address < window_base || last >= 33'(window_base) + 33'(window_bytes) || last[32:12] != {1'b0, address[31:12]} ||
           address % (BusBits / 8) != 0 || 32'(size) != $clog2(BusBits / 8) || burst != 2'b01;
  endfunction

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      escapes <= '0;
    end else begin
      if (arvalid && arready && escapes_window(araddr, arlen, arsize, arburst)) escapes <= escapes + 32'd1;
      if (awvalid && awready && escapes_window(awaddr, awlen, awsize, awburst)) escapes <= escapes + 32'd1;
    end
  end

  // Sequencer: a command at a time; register accesses and the wait for the end of a program take cycles.
  typedef enum logic [2:0] {
    SqReset,
    SqCommand,
    SqAccess,       // address (and data)
    SqAnswer,
    SqStarted,
    SqRun
  } sequence_e;

  localparam int CounterWords = 24;
  localparam int FirstMark    = 2 + CounterWords + 1;    // words of a report: STATUS, BLOCKED, counters, MARKS, marks

  sequence_e   state;
  logic        opened, hung, access_write, starting, reporting;
  logic [15:0] access_offset;
  logic [31:0] access_data, waited, limit, marks, a, b, c, e;
  logic [7:0]  d;
  int          script, report, got, item;
  string       path, command;

  assign aw_valid = (state == SqAccess) & access_write;
  assign w_valid  = aw_valid;
  assign aw_addr  = access_offset;
  assign w_data   = access_data;
  assign ar_valid = (state == SqAccess) & ~access_write;
  assign ar_addr  = access_offset;
  assign r_ready  = state == SqAnswer;

  // The sequencer acts at falling edges: what happened at the rising edge between.
  logic        sent, answered;
  logic [1:0]  answer_resp;
  logic [31:0] answer;
  always_ff @(posedge clk) begin
    sent     <= (aw_valid & aw_ready & w_ready) | (ar_valid & ar_ready);
    answered <= b_valid | (r_valid & r_ready);
    if (b_valid || r_valid) begin
      answer_resp <= b_valid ? b_resp : r_resp;
      answer      <= r_data;
    end
  end

  function automatic logic [15:0] report_offset(int number);
    if (number == 0)             return 16'h008;
    if (number == 1)             return 16'h00C;
    if (number < FirstMark - 1)  return 16'h080 + 16'(4 * (number - 2));
    if (number == FirstMark - 1) return 16'h100;
    return 16'h1000 + 16'(4 * (number - FirstMark));
  endfunction

  // verilator lint_off BLKSEQ
  task automatic rest_of_line();
    string line;
    if ($fgets(line, script) < 2) $fatal(1, "a path is missing in the script");
    path = line.substr(1, line.len() - 2);
  endtask

  task automatic access_register(logic is_write, logic [15:0] offset, logic [31:0] data);
    access_write  = is_write;
    access_offset = offset;
    access_data   = data;
    state         = SqAccess;
  endtask

  task automatic report_word(logic [31:0] word);
    if (item == 0) $fwrite(report, "{\"hung\": %s, \"escapes\": %0d, \"status\": ", hung ? "true" : "false", escapes);
    if (item == 1) $fwrite(report, ", \"blocked\": ");
    if (item == 2) $fwrite(report, ",\n\"counters\": [");
    if (item > 2 && item < FirstMark - 1) $fwrite(report, ", ");
    if (item == FirstMark - 1) begin
      marks = word;
      $fwrite(report, "],\n\"marks\": [");
    end else begin
      if (item >= FirstMark) $fwrite(report, "%s", (item - FirstMark) % 4 != 0 ? ", " : item == FirstMark ? "[" : ",\n[");
      $fwrite(report, "%0d", word);
      if (item >= FirstMark && (item - FirstMark) % 4 == 3) $fwrite(report, "]");
    end
    item = item + 1;
    if (item >= FirstMark && item == FirstMark + 4 * int'(marks)) begin
      $fwrite(report, "]}\n");
      $fclose(report);
      reporting = 1'b0;
    end else begin
      access_register(1'b0, report_offset(item), '0);
    end
  endtask

  task automatic next_command();
    got = $fscanf(script, "%s", command);
    if (got != 1) begin
      $fclose(script);
      done_o = 1'b1;
    end else begin
      case (command)
        "load": begin
          got = $fscanf(script, "%h", a);
          rest_of_line();
          u_memory.load_file(path, a);
        end
        "zero": begin
          got = $fscanf(script, "%h %h", a, b);
          u_memory.zero(a, b);
        end
        "dump": begin
          got = $fscanf(script, "%h %h", a, b);
          rest_of_line();
          u_memory.dump_file(path, a, b);
        end
        "memory": begin
          got = $fscanf(script, "%h %h %h %h %h", a, b, c, d, e);
          bandwidth     = a;
          read_latency  = b;
          write_latency = c;
          stall         = d;
          seed          = e;
          state         = SqReset;
          waited        = '0;
          rst_n         = 1'b0;
        end
        "write": begin
          got = $fscanf(script, "%h %h", a, b);
          if (a == 32'h010) window_base = b;
          if (a == 32'h014) window_bytes = b;
          access_register(1'b1, a[15:0], b);
        end
        "run": begin
          got      = $fscanf(script, "%h", limit);
          starting = 1'b1;
          access_register(1'b1, 16'h004, 32'd1);
        end
        "report": begin
          rest_of_line();
          report = $fopen(path, "w");
          if (report == 0) $fatal(1, "cannot write %s", path);
          reporting = 1'b1;
          item      = 0;
          access_register(1'b0, report_offset(0), '0);
        end
        default: $fatal(1, "unknown command %s", command);
      endcase
    end
  endtask

  initial begin
    {opened, hung, access_write, starting, reporting, done_o, access_offset, access_data, waited, limit, marks} = '0;
    {window_base, window_bytes} = '0;
    state         = SqReset;
    rst_n         = 1'b0;
    bandwidth     = 32'd192;
    read_latency  = 32'd64;
    write_latency = 32'd64;
    stall         = '0;
    seed          = 32'd1;
  end

  always @(negedge clk) begin
    case (state)
      SqReset: begin
        if (!opened) begin
          if ($value$plusargs("script=%s", path) == 0) $fatal(1, "+script=FILE is missing");
          script = $fopen(path, "r");
          if (script == 0) $fatal(1, "cannot read %s", path);
          opened = 1'b1;
        end
        waited = waited + 32'd1;
        if (waited == 32'd4) begin
          rst_n = 1'b1;
          state = SqCommand;
        end
      end
      SqCommand: next_command();
      SqAccess:  if (sent) state = SqAnswer;
      SqAnswer: begin
        if (answered) begin
          if (answer_resp != 2'b00) $fatal(1, "access to register %h refused", access_offset);
          state = starting ? SqStarted : SqCommand;
          if (reporting) report_word(answer);
        end
      end
      SqStarted: begin
        starting = 1'b0;
        waited   = '0;
        if (busy) state = SqRun;
      end
      default: begin
        waited = waited + 32'd1;
        hung   = busy;
        if (!busy || waited == limit) state = SqCommand;
      end
    endcase
  end
  // verilator lint_on BLKSEQ

endmodule
