// A datapath for tests of the control unit, with the ports of the real one: a run takes OX cycles, then makes OY writes of a beat at
// distance OSTEP_Y, an all-ones pattern. It gives its semaphores after half of its cycles and after all. The buffers keep what is loaded.
module bf_exec #(
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
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 run_valid_i,
  output logic                 run_ready_o,
  input  bf_pkg::run_t         run_i,
  output logic                 sem_input_valid_o,
  output logic [3:0]           sem_input_o,
  output logic                 sem_weight_valid_o,
  output logic [3:0]           sem_weight_o,
  output logic                 runs_idle_o,
  output logic                 stores_idle_o,
  output logic                 error_valid_o,
  output bf_pkg::error_e       error_o,
  input  logic                 stop_i,
  input  logic [31:0]          mem_base_i,
  input  logic [31:0]          mem_bytes_i,
  input  logic                 buf_we_i,
  input  bf_pkg::buffer_e      buf_sel_i,
  input  logic [31:0]          buf_addr_i,
  input  logic [BusBits-1:0]   buf_data_i,
  output logic                 token_o,
  output logic                 wait_patch_o,
  output logic                 wait_store_o,
  output logic                 gather_busy_o,
  output logic                 m_axi_awvalid_o,
  input  logic                 m_axi_awready_i,
  output logic [3:0]           m_axi_awid_o,
  output logic [31:0]          m_axi_awaddr_o,
  output logic [7:0]           m_axi_awlen_o,
  output logic [2:0]           m_axi_awsize_o,
  output logic [1:0]           m_axi_awburst_o,
  output logic                 m_axi_wvalid_o,
  input  logic                 m_axi_wready_i,
  output logic [BusBits-1:0]   m_axi_wdata_o,
  output logic [BusBits/8-1:0] m_axi_wstrb_o,
  output logic                 m_axi_wlast_o,
  input  logic                 m_axi_bvalid_i,
  output logic                 m_axi_bready_o,
  input  logic [3:0]           m_axi_bid_i,
  input  logic [1:0]           m_axi_bresp_i
);

  localparam int unsigned BeatBytes = BusBits / 8;
  localparam int unsigned RowBytes  = 4 * Rows * Cols;
  localparam int unsigned IbufBeats = IbufBytes / BeatBytes;
  localparam int unsigned WbufBeats = (WbufBytes / RowBytes) * ((RowBytes + BeatBytes - 1) / BeatBytes);
  localparam int unsigned PbufBeats = ParamDepth * 3 * ((4 * Cols + BeatBytes - 1) / BeatBytes);

  logic [BusBits-1:0] ibuf [IbufBeats] /*verilator public_flat_rd*/;
  logic [BusBits-1:0] wbuf [WbufBeats] /*verilator public_flat_rd*/;
  logic [BusBits-1:0] pbuf [PbufBeats] /*verilator public_flat_rd*/;

  always_ff @(posedge clk_i) begin
    if (buf_we_i) begin
      unique case (buf_sel_i)
        bf_pkg::BufInput:  ibuf[buf_addr_i % IbufBeats] <= buf_data_i;
        bf_pkg::BufWeight: begin
          if (buf_addr_i >= WbufBeats) $error("WBUF beat %0d", buf_addr_i);
          wbuf[buf_addr_i] <= buf_data_i;
        end
        default: begin
          if (buf_addr_i >= PbufBeats) $error("PBUF beat %0d", buf_addr_i);
          pbuf[buf_addr_i] <= buf_data_i;
        end
      endcase
    end
  end

  // One run is worked on, its writes go on beside the next one.
  logic [15:0] left_q, half_q, writes_q, outstanding_q;
  logic        busy_q, aw_q, w_q, escapes;
  logic [3:0]  sem_input_q, sem_weight_q;
  logic [31:0] base_q, base_step_q, addr_q, step_q;    // of the run, of its writes
  logic [15:0] count_q;
  logic        done, next_write, answered;

  assign done        = busy_q & (left_q == 16'd1) & (writes_q == '0);
  assign run_ready_o = ~busy_q | done;
  assign escapes     = (33'(addr_q) + 33'(BeatBytes) > 33'(mem_bytes_i)) | (addr_q % BeatBytes != 0);
  assign next_write  = (writes_q != '0) & ~escapes & ~stop_i & (~aw_q | m_axi_awready_i) & (~w_q | m_axi_wready_i);
  assign answered    = m_axi_bvalid_i & m_axi_bready_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {left_q, half_q, writes_q, outstanding_q, count_q} <= '0;
      {busy_q, aw_q, w_q} <= '0;
      {sem_input_q, sem_weight_q, base_q, base_step_q, addr_q, step_q, m_axi_awaddr_o} <= '0;
    end else begin
      if (run_valid_i && run_ready_o && !stop_i) begin
        busy_q       <= 1'b1;
        left_q       <= run_i.ox;
        half_q       <= (run_i.ox + 16'd1) / 16'd2;
        count_q      <= run_i.oy;
        base_q       <= run_i.obase;
        base_step_q  <= run_i.ostep_y;
        sem_input_q  <= run_i.sem_input;
        sem_weight_q <= run_i.sem_weight;
      end else if (done || stop_i) begin
        busy_q <= 1'b0;
      end else if (busy_q && left_q != 16'd1) begin
        left_q <= left_q - 16'd1;
      end
      if (stop_i) begin
        writes_q <= '0;
      end else if (done) begin
        writes_q <= count_q;
        addr_q   <= base_q;
        step_q   <= base_step_q;
      end else if (next_write) begin
        writes_q <= writes_q - 16'd1;
        addr_q   <= addr_q + step_q;
      end
      if (next_write) begin
        aw_q           <= 1'b1;
        w_q            <= 1'b1;
        m_axi_awaddr_o <= mem_base_i + addr_q;
      end else begin
        if (m_axi_awready_i) aw_q <= 1'b0;
        if (m_axi_wready_i)  w_q  <= 1'b0;
      end
      outstanding_q <= outstanding_q + 16'(next_write) - 16'(answered);
    end
  end

  assign sem_input_valid_o  = busy_q & ~stop_i & (left_q == half_q) & (sem_input_q != 4'd15) & ((left_q != 16'd1) | done);
  assign sem_input_o        = sem_input_q;
  assign sem_weight_valid_o = done & ~stop_i & (sem_weight_q != 4'd15);
  assign sem_weight_o       = sem_weight_q;
  assign runs_idle_o        = ~busy_q;
  assign stores_idle_o      = (writes_q == '0) & (outstanding_q == '0);
  assign error_valid_o      = ~stop_i & (((writes_q != '0) & escapes) | (answered & (m_axi_bresp_i != '0)));
  assign error_o            = (writes_q != '0) & escapes ? bf_pkg::ErrMemory : bf_pkg::ErrBus;
  assign token_o            = busy_q;
  assign wait_patch_o       = 1'b0;
  assign wait_store_o       = busy_q & (left_q == 16'd1) & (writes_q != '0);
  assign gather_busy_o      = busy_q;

  assign m_axi_awvalid_o = aw_q;
  assign m_axi_awid_o    = '0;
  assign m_axi_awlen_o   = '0;
  assign m_axi_awsize_o  = 3'($clog2(BeatBytes));
  assign m_axi_awburst_o = 2'b01;
  assign m_axi_wvalid_o  = w_q;
  assign m_axi_wdata_o   = '1;
  assign m_axi_wstrb_o   = '1;
  assign m_axi_wlast_o   = 1'b1;
  assign m_axi_bready_o  = 1'b1;

endmodule
