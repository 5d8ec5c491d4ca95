// Top for simulation: the accelerator, a memory, a clock, and a sequencer that does what a script says, so that no cycle needs Python.
// Plusarg +script=FILE. A command a line; numbers are hexadecimal; a path is the rest of its line.
//   load ADDRESS PATH          file into memory at a multiple of a beat
//   zero ADDRESS BYTES
//   dump ADDRESS BYTES PATH    whole beats of memory into a file
//   memory BANDWIDTH READ_LATENCY WRITE_LATENCY STALL SEED   as in bf_memory; with a reset
//   write OFFSET VALUE         register, by AXI4-Lite
//   run CYCLES                 start, then wait for the end; after CYCLES it is called hung (reset it with memory)
//   report PATH                status, counters and marks, read by AXI4-Lite, as JSON
// done_o rises after the last command.
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
  parameter int unsigned MemBytes   = 64 << 20
) (
  output logic done_o /*verilator public_flat_rd*/
);

  logic clk, rst_n;
  initial clk = 1'b0;
  always #1 clk = ~clk;

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

  // Every burst lies in the window that was written last, and within 4 KiB.
  logic [31:0] window_base, window_bytes, escapes;

  function automatic logic escapes_window(logic [31:0] address, logic [7:0] length);
    logic [32:0] last;
    last = 33'(address) + ((33'(length) + 33'd1) << $clog2(BusBits / 8)) - 33'd1;
    return address < window_base || last >= 33'(window_base) + 33'(window_bytes) || last[32:12] != {1'b0, address[31:12]} ||
           address % (BusBits / 8) != 0;
  endfunction

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      escapes <= '0;
    end else begin
      if (arvalid && arready && escapes_window(araddr, arlen)) escapes <= escapes + 32'd1;
      if (awvalid && awready && escapes_window(awaddr, awlen)) escapes <= escapes + 32'd1;
      if (wvalid && wready && wlast == 1'b0 && awlen == '0)    escapes <= escapes + 32'd1;
    end
  end

  // One register access at a time, for the sequencer: it changes its wishes at falling edges.
  logic        wish, wish_write, granted, address_sent;
  logic [15:0] wish_offset;
  logic [31:0] wish_data, answer;
  logic [1:0]  answer_resp;

  assign aw_valid = wish & wish_write & ~address_sent;
  assign w_valid  = aw_valid;
  assign aw_addr  = wish_offset;
  assign w_data   = wish_data;
  assign ar_valid = wish & ~wish_write & ~address_sent;
  assign ar_addr  = wish_offset;
  assign r_ready  = address_sent;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      granted      <= 1'b0;
      address_sent <= 1'b0;
      answer       <= '0;
      answer_resp  <= '0;
    end else if (wish || granted) begin
      if ((aw_valid && aw_ready && w_ready) || (ar_valid && ar_ready)) address_sent <= 1'b1;
      if (address_sent && (b_valid || r_valid)) begin
        address_sent <= 1'b0;
        granted      <= 1'b1;
        answer       <= r_data;
        answer_resp  <= b_valid ? b_resp : r_resp;
      end
      if (!wish) granted <= 1'b0;
    end
  end

  // Sequencer
  int          script, got;
  logic        hung;
  logic [31:0] a, b, c, d, e;
  string       path, command;

  task automatic reset();
    @(negedge clk);
    rst_n = 1'b0;
    repeat (4) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);
  endtask

  task automatic access_register(logic is_write, logic [31:0] offset, logic [31:0] data);
    @(negedge clk);
    wish        = 1'b1;
    wish_write  = is_write;
    wish_offset = offset[15:0];
    wish_data   = data;
    wait (granted);
    @(negedge clk);
    wish = 1'b0;
    wait (!granted);
    if (answer_resp != 2'b00) $fatal(1, "access to register %h refused", offset);
  endtask

  task automatic write_register(logic [31:0] offset, logic [31:0] data);
    if (offset == 32'h010) window_base = data;
    if (offset == 32'h014) window_bytes = data;
    access_register(1'b1, offset, data);
  endtask

  task automatic read_register(logic [31:0] offset, output logic [31:0] data);
    access_register(1'b0, offset, '0);
    data = answer;
  endtask

  // The wait for the end costs the simulator no work in a cycle: a counter ends it.
  logic [31:0] limit, waited;
  logic        armed, finished;
  assign finished = armed & (~busy | waited == limit);

  always_ff @(posedge clk) begin
    waited <= armed ? waited + 32'd1 : '0;
  end

  task automatic run_program(logic [31:0] cycles);
    limit = cycles;
    write_register(32'h004, 32'd1);
    armed = 1'b1;
    wait (finished);
    @(negedge clk);
    hung  = busy;
    armed = 1'b0;
  endtask

  task automatic report_json(string name);
    int          file;
    logic [31:0] marks, word;
    file = $fopen(name, "w");
    if (file == 0) $fatal(1, "cannot write %s", name);
    read_register(32'h008, word);
    $fwrite(file, "{\"hung\": %s, \"escapes\": %0d, \"status\": %0d, ", hung ? "true" : "false", escapes, word);
    read_register(32'h00C, word);
    $fwrite(file, "\"blocked\": %0d,\n\"counters\": [", word);
    for (int i = 0; i < 24; i++) begin
      read_register(32'h080 + 4 * i, word);
      $fwrite(file, "%s%0d", i == 0 ? "" : ", ", word);
    end
    $fwrite(file, "],\n\"marks\": [");
    read_register(32'h100, marks);
    for (int i = 0; i < 4 * marks; i++) begin
      read_register(32'h1000 + 4 * i, word);
      $fwrite(file, "%s%0d%s", i % 4 == 0 ? (i == 0 ? "[" : ",\n[") : ", ", word, i % 4 == 3 ? "]" : "");
    end
    $fwrite(file, "]}\n");
    $fclose(file);
  endtask

  task automatic rest_of_line(output string rest);
    string line;
    if ($fgets(line, script) < 2) $fatal(1, "a path is missing in the script");
    rest = line.substr(1, line.len() - 2);
  endtask

  initial begin
    {wish, wish_write, wish_offset, wish_data, hung, armed, done_o} = '0;
    {limit, window_base, window_bytes} = '0;
    rst_n         = 1'b1;
    bandwidth     = 32'd192;
    read_latency  = 32'd64;
    write_latency = 32'd64;
    stall         = '0;
    seed          = 32'd1;
    if (!$value$plusargs("script=%s", path)) $fatal(1, "+script=FILE is missing");
    script = $fopen(path, "r");
    if (script == 0) $fatal(1, "cannot read %s", path);
    reset();
    got = $fscanf(script, "%s", command);
    while (got == 1) begin
      case (command)
        "load": begin
          got = $fscanf(script, "%h", a);
          rest_of_line(path);
          u_memory.load_file(path, a);
        end
        "zero": begin
          got = $fscanf(script, "%h %h", a, b);
          u_memory.zero(a, b);
        end
        "dump": begin
          got = $fscanf(script, "%h %h", a, b);
          rest_of_line(path);
          u_memory.dump_file(path, a, b);
        end
        "memory": begin
          got = $fscanf(script, "%h %h %h %h %h", a, b, c, d, e);
          bandwidth     = a;
          read_latency  = b;
          write_latency = c;
          stall         = d[7:0];
          seed          = e;
          reset();
        end
        "write": begin
          got = $fscanf(script, "%h %h", a, b);
          write_register(a, b);
        end
        "run": begin
          got = $fscanf(script, "%h", a);
          run_program(a);
        end
        "report": begin
          rest_of_line(path);
          report_json(path);
        end
        default:   $fatal(1, "unknown command %s", command);
      endcase
      got = $fscanf(script, "%s", command);
    end
    $fclose(script);
    done_o = 1'b1;
  end

endmodule
