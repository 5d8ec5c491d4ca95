// Packs the results of each lane into words and writes those that are complete, or the last.
module stream_pack
  import stream_pkg::*;
#(
  parameter int unsigned Lanes = 4
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        start_i,            // the lanes' positions follow, one a cycle, before any result
  input  logic [34:0] origin_i,           // bit address of lane 0's first result
  input  logic [31:0] stride_i,           // signed bits from lane to lane
  output logic        ready_o,            // positions are set

  input  width_e      o_i,
  input  logic        wide_i,
  input  logic        tail_zero_i,
  input  logic        valid_i,
  input  logic [31:0] code_i,
  input  logic [2:0]  lane_i,
  input  logic        last_i,             // the lane's last result
  output logic        taken_o,

  output logic        wr_valid_o,
  input  logic        wr_ready_i,
  output logic [29:0] wr_addr_o,
  output logic [31:0] wr_data_o,
  output logic [31:0] wr_mask_o,
  output logic        wr_partial_o
);

  // Lanes that do not exist never come.
  logic unused_lane;
  assign unused_lane = ^lane_i;

  localparam int unsigned LaneW = Lanes > 1 ? $clog2(Lanes) : 1;

  logic [29:0] word_q  [Lanes];
  logic [4:0]  bit_q   [Lanes];           // where the next result goes
  logic [4:0]  begin_q [Lanes];           // first own bit of the word
  logic [31:0] data_q  [Lanes];

  logic [34:0]      setup_q;
  logic [2:0]       setup_lane_q;
  logic             setting_q;
  logic [LaneW-1:0] lane;
  logic [5:0]       bits, last_bit, finish;
  logic [31:0]      data;
  logic             complete;

  assign lane     = LaneW'(lane_i);
  assign bits     = wide_i ? 6'd32 : 6'd8 >> o_i;
  assign last_bit = {1'b0, bit_q[lane]} + bits;
  assign finish   = last_i & tail_zero_i ? (last_bit + 6'd7) & 6'h38 : last_bit;
  assign data     = data_q[lane] | (code_i << bit_q[lane]);
  assign complete = last_bit[5] | last_i;

  assign wr_valid_o   = valid_i & complete;
  assign wr_addr_o    = word_q[lane];
  assign wr_data_o    = data;
  assign wr_mask_o    = low_bits(finish) & ~low_bits({1'b0, begin_q[lane]});
  assign wr_partial_o = (begin_q[lane][2:0] != '0) | (finish[2:0] != '0);
  assign taken_o      = valid_i & (~complete | wr_ready_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) setting_q <= 1'b0;
    else if (start_i) setting_q <= 1'b1;
    else if (32'(setup_lane_q) == Lanes - 1) setting_q <= 1'b0;
  end
  assign ready_o = ~setting_q;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      setup_q      <= origin_i;
      setup_lane_q <= '0;
    end else if (setting_q) begin
      setup_q      <= setup_q + 35'($signed(stride_i));
      setup_lane_q <= setup_lane_q + 3'd1;
      word_q[LaneW'(setup_lane_q)]  <= setup_q[34:5];
      bit_q[LaneW'(setup_lane_q)]   <= setup_q[4:0];
      begin_q[LaneW'(setup_lane_q)] <= setup_q[4:0];
      data_q[LaneW'(setup_lane_q)]  <= '0;
    end else if (taken_o) begin
      bit_q[lane]  <= last_bit[4:0];
      data_q[lane] <= complete ? '0 : data;
      if (complete) begin
        word_q[lane]  <= word_q[lane] + 30'd1;
        begin_q[lane] <= '0;
      end
    end
  end

endmodule
