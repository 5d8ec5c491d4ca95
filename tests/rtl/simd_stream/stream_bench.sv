// Plays a script of CFU commands to simd_top and compares answers and memory with what the script says. The memory grants and
// answers at random, the core is slow to take answers, and commands are put up and withdrawn, as the script sets.
//
// Script (+script=PATH): big-endian words.
//   1 function rs1 rs2 rd check    a command; check = 1: its answer must be rd; 0: the answer is written to +answers=PATH
//   2 n words...                   load the first n words of the RAM
//   3 n words...                   compare them
//   4 grant latency ready decoy    per 256: grants, answers taken, withdrawn commands; latency: longest read, in cycles
module stream_bench #(
  parameter int unsigned Lanes     = 4,
  parameter int unsigned BufWords  = 2048,
  parameter int unsigned FifoDepth = 8,
  parameter int unsigned RamBytes  = 'h1C000,
  parameter bit          GateClock = 1'b0
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  output logic        done_o,
  output logic [31:0] checked_o,         // commands and memories compared
  output logic [31:0] mismatches_o,
  output logic [31:0] first_o,           // number of the first record that differed
  output logic [31:0] protocol_o,        // breaches of the memory protocol
  output logic [31:0] hang_o             // the record that was not answered within the limit, 0: none
);

  localparam logic [31:0] RamBase  = 32'h4000_0000;
  localparam int unsigned RamWords = RamBytes / 4;
  localparam int unsigned Limit    = 1 << 20;

  string       script, answers;
  int          file, answer_file, bytes;
  logic [31:0] word;
  logic [31:0] record [5];
  logic [31:0] ram [RamWords];
  int unsigned grant_rate, latency, ready_rate, decoy_rate, records, waited, decoy_left;
  logic [31:0] random_q;
  longint      now, last_time, delay;
  longint      times [$];
  logic [31:0] reads [$];

  logic        cmd_valid, cmd_ready, rsp_valid, rsp_ready, real_q;
  logic [9:0]  function_id;
  logic [31:0] rs1, rs2, rd;
  logic        mem_req, mem_we, mem_gnt, mem_rvalid;
  logic [3:0]  mem_be;
  logic [31:0] mem_addr, mem_wdata, mem_rdata;
  logic        held_q, we_q;
  logic [3:0]  be_q;
  logic [31:0] addr_q, wdata_q;
  logic        busy, stall;

  simd_top #(
    .Lanes     (Lanes),
    .BufWords  (BufWords),
    .FifoDepth (FifoDepth),
    .RamBase   (RamBase),
    .RamBytes  (RamBytes),
    .GateClock (GateClock)
  ) u_top (
    .clk_i,
    .rst_ni,
    .cmd_valid_i       (cmd_valid),
    .cmd_ready_o       (cmd_ready),
    .cmd_function_id_i (function_id),
    .cmd_inputs_0_i    (rs1),
    .cmd_inputs_1_i    (rs2),
    .rsp_valid_o       (rsp_valid),
    .rsp_ready_i       (rsp_ready),
    .rsp_outputs_0_o   (rd),
    .mem_req_o         (mem_req),
    .mem_we_o          (mem_we),
    .mem_be_o          (mem_be),
    .mem_addr_o        (mem_addr),
    .mem_wdata_o       (mem_wdata),
    .mem_gnt_i         (mem_gnt),
    .mem_rvalid_i      (mem_rvalid),
    .mem_rdata_i       (mem_rdata),
    .busy_o            (busy),
    .stall_o           (stall)
  );

  function automatic logic [31:0] random();
    random_q ^= random_q << 13;
    random_q ^= random_q >> 17;
    random_q ^= random_q << 5;
    return random_q;
  endfunction

  function automatic logic chance(int unsigned rate);
    return 32'(random() >> 24) < rate;
  endfunction

  function automatic logic [31:0] next_word();
    bytes = $fread(word, file);
    return bytes == 4 ? word : '0;
  endfunction

  task automatic differ();
    mismatches_o = mismatches_o + 1;
    if (first_o == '1) first_o = records;
  endtask

  // Reads records up to the next command.
  task automatic advance();
    logic        found, same;
    int          count;
    logic [31:0] expected;
    found     = 1'b0;
    while (!found) begin
      records += 1;
      case (next_word())
        1: begin
          for (int i = 0; i < 5; i++) record[i] = next_word();
          found = 1'b1;
        end
        2: begin
          count = next_word();
          for (int i = 0; i < count; i++) ram[i] = next_word();
        end
        3: begin
          count     = next_word();
          checked_o = checked_o + 1;
          same      = 1'b1;
          for (int i = 0; i < count; i++) begin
            expected = next_word();
            if (expected != ram[i]) begin
              if (same && first_o == '1) $display("record %0d: word %0d is %h, not %h", records, i, ram[i], expected);
              same = 1'b0;
            end
          end
          if (!same) differ();
        end
        4: begin
          grant_rate = next_word();
          latency    = next_word();
          ready_rate = next_word();
          decoy_rate = next_word();
        end
        default: begin
          done_o = 1'b1;
          found  = 1'b1;
          if (answer_file != 0) $fclose(answer_file);
        end
      endcase
    end
    waited     = 0;
    decoy_left = chance(decoy_rate) ? 1 + 32'(random() >> 30) : 0;
  endtask

  initial begin
    if (!$value$plusargs("script=%s", script)) $fatal(1, "no +script=PATH");
    file = $fopen(script, "rb");
    if (file == 0) $fatal(1, "cannot open %s", script);
    answer_file = 0;
    if ($value$plusargs("answers=%s", answers)) answer_file = $fopen(answers, "w");
  end

  always @(posedge clk_i) begin
    if (!rst_ni) begin
      done_o       = 1'b0;
      checked_o    = '0;
      mismatches_o = '0;
      first_o      = '1;
      protocol_o   = '0;
      hang_o       = '0;
      records      = 0;
      random_q     = 32'h1234_5678;
      now          = 0;
      last_time    = 0;
      grant_rate   = 256;
      latency      = 1;
      ready_rate   = 256;
      decoy_rate   = 0;
      cmd_valid   <= 1'b0;
      real_q      <= 1'b0;
      mem_rvalid  <= 1'b0;
      mem_gnt     <= 1'b0;
      held_q      <= 1'b0;
      rsp_ready   <= 1'b0;
      times.delete();
      reads.delete();
    end else begin
      now = now + 1;
      // Memory
      if (held_q && !(mem_req && mem_we == we_q && mem_addr == addr_q && mem_be == be_q && (!we_q || mem_wdata == wdata_q))) begin
        protocol_o = protocol_o + 1;
      end
      held_q <= mem_req & ~mem_gnt;
      if (mem_req) begin
        {we_q, be_q, addr_q, wdata_q} <= {mem_we, mem_be, mem_addr, mem_wdata};
        if (mem_addr < RamBase || mem_addr >= RamBase + RamBytes || mem_addr[1:0] != '0) protocol_o = protocol_o + 1;
      end
      if (mem_req && mem_gnt) begin
        if (mem_we) begin
          for (int b = 0; b < 4; b++) begin
            if (mem_be[b]) ram[(mem_addr - RamBase) >> 2][8*b+:8] = mem_wdata[8*b+:8];
          end
        end else begin
          delay     = now + 64'(random() % latency);
          last_time = last_time > delay ? last_time : delay;
          times.push_back(last_time);
          reads.push_back(ram[(mem_addr - RamBase) >> 2]);
        end
      end
      mem_rvalid <= 1'b0;
      mem_rdata  <= random();
      if (times.size() > 0 && times[0] <= now) begin
        mem_rvalid <= 1'b1;
        mem_rdata  <= reads.pop_front();
        void'(times.pop_front());
      end
      mem_gnt <= chance(grant_rate);

      // Core
      waited += 1;
      if (cmd_valid && real_q && cmd_ready && rsp_ready) begin
        if (!rsp_valid) protocol_o = protocol_o + 1;
        if (record[4] == 0) begin
          if (answer_file != 0) $fdisplay(answer_file, "%0d", rd);
        end else begin
          checked_o = checked_o + 1;
          if (rd != record[3]) begin
            if (first_o == '1) $display("record %0d: function %h rs1 %h rs2 %h answered %h, not %h", records, record[0], record[1], record[2], rd, record[3]);
            differ();
          end
        end
        advance();
      end else if (waited > Limit) begin
        hang_o = records;
        done_o = 1'b1;
      end
      if (records == 0) advance();
      if (done_o) begin
        cmd_valid <= 1'b0;
      end else if (decoy_left > 0) begin
        // Any command of the engine, never accepted
        decoy_left  -= 1;
        cmd_valid   <= 1'b1;
        real_q      <= 1'b0;
        rsp_ready   <= 1'b0;
        function_id <= 10'(random()) & 10'b111_0000_111;
        rs1         <= random();
        rs2         <= 32'(random() & 32'h1F);
      end else begin
        cmd_valid   <= 1'b1;
        real_q      <= 1'b1;
        rsp_ready   <= chance(ready_rate);
        function_id <= record[0][9:0];
        rs1         <= record[1];
        rs2         <= record[2];
      end
    end
  end

endmodule
