// Profiling counters: what engine, core and buses do in each cycle, counted while ENABLE is set, modulo 2^32. A program reads a
// copy of all of them that it has made in one cycle (SNAPSHOT), so a set belongs together. That cycle is not counted.
module soc_profile (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        valid_i,          // an access, over in this cycle
  input  logic        we_i,
  input  logic [11:2] adr_i,
  input  logic [31:0] wdata_i,
  output logic [31:0] rdata_o,

  input  logic        engine_busy_i,
  input  logic        engine_stall_i,   // waits for the memory
  input  logic        engine_read_i,    // a word
  input  logic        engine_write_i,
  input  logic        cfu_valid_i,      // a custom instruction is on offer
  input  logic        cfu_ready_i,      // and taken
  input  logic        ibus_active_i,    // an access is under way
  input  logic        ibus_done_i,      // and over in this cycle
  input  logic        dbus_active_i,
  input  logic        dbus_we_i,
  input  logic        dbus_done_i
);

  localparam int unsigned Counters = 12;
  localparam int unsigned CtrlEnable = 0, CtrlSnapshot = 1, CtrlClear = 2;

  logic [Counters-1:0]       event_now;
  logic [Counters-1:0][31:0] count_q, copy_q;
  logic                      enable_q, control, snapshot, clear;
  logic [3:0]                index;

  // In the order of the registers from 0x04 on.
  assign event_now = {
    engine_write_i,
    engine_read_i,
    dbus_active_i & ~dbus_done_i,
    dbus_done_i & dbus_we_i,
    dbus_done_i & ~dbus_we_i,
    ibus_active_i & ~ibus_done_i,
    ibus_done_i,
    cfu_valid_i & ~cfu_ready_i,
    cfu_valid_i & cfu_ready_i,
    engine_stall_i,
    engine_busy_i,
    1'b1
  };

  assign control  = valid_i & we_i & (adr_i == '0);
  assign snapshot = control & wdata_i[CtrlSnapshot];
  assign clear    = control & wdata_i[CtrlClear];

  logic unused;
  assign unused = ^wdata_i[31:3];

  assign index = adr_i[5:2] - 4'd1;
  always_comb begin
    rdata_o = '0;
    if (adr_i == '0) rdata_o[CtrlEnable] = enable_q;
    else if (adr_i <= 10'(Counters)) rdata_o = copy_q[index];
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      enable_q <= 1'b0;
      count_q  <= '0;
    end else begin
      if (control) enable_q <= wdata_i[CtrlEnable];
      if (clear) count_q <= '0;
      else if (enable_q && !control) begin
        for (int unsigned i = 0; i < Counters; i++) begin
          if (event_now[i]) count_q[i] <= count_q[i] + 32'd1;
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) copy_q <= '0;
    else if (snapshot) copy_q <= count_q;
  end

endmodule
