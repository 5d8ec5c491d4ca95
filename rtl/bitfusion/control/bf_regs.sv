// AXI4-Lite slave: the registers of the README's table. What is not in it, and writes to what cannot be written, answer SLVERR.
// Configuration cannot be written while a program runs.
module bf_regs
  import bf_control_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned BusBits    = 256,
  parameter int unsigned IbufBytes  = 32 * 1024,
  parameter int unsigned WbufBytes  = 64 * 1024,
  parameter int unsigned ObufBytes  = 16 * 1024,
  parameter int unsigned PatchDepth = 64,
  parameter int unsigned ParamDepth = 32,
  parameter int unsigned Build      = bf_pkg::BuildStructural
) (
  input  logic         clk_i,
  input  logic         rst_ni,

  input  logic         s_axil_awvalid_i,
  output logic         s_axil_awready_o,
  input  logic [15:0]  s_axil_awaddr_i,
  input  logic         s_axil_wvalid_i,
  output logic         s_axil_wready_o,
  input  logic [31:0]  s_axil_wdata_i,
  input  logic [3:0]   s_axil_wstrb_i,
  output logic         s_axil_bvalid_o,
  input  logic         s_axil_bready_i,
  output logic [1:0]   s_axil_bresp_o,
  input  logic         s_axil_arvalid_i,
  output logic         s_axil_arready_o,
  input  logic [15:0]  s_axil_araddr_i,
  output logic         s_axil_rvalid_o,
  input  logic         s_axil_rready_i,
  output logic [31:0]  s_axil_rdata_o,
  output logic [1:0]   s_axil_rresp_o,

  output logic         start_o,            // pulses
  output logic         abort_o,
  output logic [31:0]  mem_base_o,
  output logic [31:0]  mem_bytes_o,
  output logic [31:0]  program_o,
  output logic [31:0]  instructions_o,
  output logic [31:0]  cycle_limit_o,

  input  logic [31:0]  status_i,           // bit 0: busy
  input  logic [31:0]  blocked_i,
  output logic [4:0]   counter_o,
  input  logic [31:0]  counter_i,
  input  logic [8:0]   marks_i,
  output logic         mark_read_o,
  output logic [7:0]   mark_index_o,
  input  logic [127:0] mark_i
);

  localparam logic [31:0] Id     = 32'h4D42_4601;
  localparam logic [1:0]  Okay   = 2'b00;
  localparam logic [1:0]  SlvErr = 2'b10;

  localparam logic [15:0] AddrCtrl = 16'h004;

  // Writable: MEM_BASE, MEM_BYTES, PROGRAM, INSTRUCTIONS, CYCLE_LIMIT
  logic [4:0][31:0] config_q;
  logic             busy;
  assign busy = status_i[0];

  // Writes: address and data are taken together.
  logic        write, bvalid_q, write_config, write_ctrl;
  logic [1:0]  bresp_q;
  logic [31:0] strobe;
  logic [2:0]  config_index;

  assign write            = s_axil_awvalid_i & s_axil_wvalid_i & (~bvalid_q | s_axil_bready_i);
  assign s_axil_awready_o = write;
  assign s_axil_wready_o  = write;
  assign s_axil_bvalid_o  = bvalid_q;
  assign s_axil_bresp_o   = bresp_q;
  assign strobe           = {{8{s_axil_wstrb_i[3]}}, {8{s_axil_wstrb_i[2]}}, {8{s_axil_wstrb_i[1]}}, {8{s_axil_wstrb_i[0]}}};
  assign config_index     = s_axil_awaddr_i[4:2] - 3'd4;    // 0x010 is the first
  assign write_config     = (s_axil_awaddr_i[15:2] >= 14'(16'h010 >> 2)) & (s_axil_awaddr_i[15:2] <= 14'(16'h020 >> 2));
  assign write_ctrl       = s_axil_awaddr_i[15:2] == AddrCtrl[15:2];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      bvalid_q <= 1'b0;
      bresp_q  <= Okay;
      config_q <= '0;
      start_o  <= 1'b0;
      abort_o  <= 1'b0;
    end else begin
      start_o <= write & write_ctrl & s_axil_wstrb_i[0] & s_axil_wdata_i[0];
      abort_o <= write & write_ctrl & s_axil_wstrb_i[0] & s_axil_wdata_i[1];
      if (write) begin
        bvalid_q <= 1'b1;
        bresp_q  <= write_ctrl | (write_config & ~busy) ? Okay : SlvErr;
        if (write_config && !busy) config_q[config_index] <= (config_q[config_index] & ~strobe) | (s_axil_wdata_i & strobe);
      end else if (s_axil_bready_i) begin
        bvalid_q <= 1'b0;
      end
    end
  end

  assign mem_base_o     = config_q[0];
  assign mem_bytes_o    = config_q[1];
  assign program_o      = config_q[2];
  assign instructions_o = config_q[3];
  assign cycle_limit_o  = config_q[4];

  // Reads: the address, a cycle for the memory of the marks, the answer.
  typedef enum logic [1:0] {
    RdIdle,
    RdFetch,
    RdSelect,
    RdAnswer
  } read_e;

  read_e       read_q;
  logic [15:2] raddr_q;
  logic [31:0] rdata_q;
  logic [1:0]  rresp_q;

  function automatic logic [31:0] parameter_value(logic [3:0] number);
    unique case (number)
      4'd0:    return Rows;
      4'd1:    return Cols;
      4'd2:    return BusBits;
      4'd3:    return IbufBytes;
      4'd4:    return WbufBytes;
      4'd5:    return ObufBytes;
      4'd6:    return PatchDepth;
      4'd7:    return ParamDepth;
      default: return Build;
    endcase
  endfunction

  logic [31:0] value;
  logic        known;
  logic [9:0]  word;
  assign word = raddr_q[11:2];

  always_comb begin
    value = '0;
    known = 1'b1;
    if (read_q == RdSelect) begin
      if (raddr_q[15:12] == 4'd1) begin
        value = mark_i[32 * 32'(raddr_q[3:2]) +: 32];
      end else if (raddr_q[15:12] != '0) begin
        known = 1'b0;
      end else if (word >= 10'h020 && word < 10'h020 + 10'(Counters)) begin
        value = counter_i;
      end else if (word >= 10'h00C && word <= 10'h014) begin
        value = parameter_value(4'(word - 10'h00C));
      end else begin
        unique case (word)
          10'h000: value = Id;
          10'h001: value = '0;
          10'h002: value = status_i;
          10'h003: value = blocked_i;
          10'h004: value = mem_base_o;
          10'h005: value = mem_bytes_o;
          10'h006: value = program_o;
          10'h007: value = instructions_o;
          10'h008: value = cycle_limit_o;
          10'h040: value = 32'(marks_i);
          default: known = 1'b0;
        endcase
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q <= RdIdle;
    end else begin
      unique case (read_q)
        RdIdle:   if (s_axil_arvalid_i) read_q <= RdFetch;
        RdFetch:  read_q <= RdSelect;
        RdSelect: read_q <= RdAnswer;
        default:  if (s_axil_rready_i) read_q <= RdIdle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (read_q == RdIdle && s_axil_arvalid_i) raddr_q <= s_axil_araddr_i[15:2];
    if (read_q == RdSelect) begin
      rdata_q <= value;
      rresp_q <= known ? Okay : SlvErr;
    end
  end

  assign s_axil_arready_o = read_q == RdIdle;
  assign s_axil_rvalid_o  = read_q == RdAnswer;
  assign s_axil_rdata_o   = rdata_q;
  assign s_axil_rresp_o   = rresp_q;
  assign counter_o        = 5'(word - 10'h020);
  assign mark_read_o      = read_q == RdFetch;
  assign mark_index_o     = raddr_q[11:4];

  logic unused_ok;
  assign unused_ok = &{1'b0, s_axil_awaddr_i[1:0], s_axil_araddr_i[1:0]};

endmodule
