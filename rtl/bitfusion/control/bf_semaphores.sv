// Eight counting semaphores of 8 bits. Up to four signals and two takes a cycle; where both engines want the last one, load gets it.
module bf_semaphores
  import bf_control_pkg::*;
(
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       flush_i,         // all zero
  input  signal_t    signal_load_i,   // number 15: none
  input  signal_t    signal_exec_i,
  input  signal_t    signal_input_i,
  input  signal_t    signal_weight_i,
  input  logic       load_wait_i,
  input  logic [2:0] load_number_i,
  output logic       load_grant_o,    // one was taken
  input  logic       exec_wait_i,
  input  logic [2:0] exec_number_i,
  output logic       exec_grant_o,
  output fault_t     fault_o          // a cycle later
);

  localparam int unsigned Count = bf_pkg::Semaphores;

  logic [Count-1:0][7:0] count_q, count_d;
  logic                  any;
  fault_t                fault_d, fault_q;

  assign load_grant_o = load_wait_i & (count_q[load_number_i] != '0);
  assign exec_grant_o = exec_wait_i & (count_q[exec_number_i] != '0) &
                        ~(load_grant_o & (load_number_i == exec_number_i) & (count_q[exec_number_i] == 8'd1));

  assign any = signal_load_i.valid | signal_exec_i.valid | signal_input_i.valid | signal_weight_i.valid |
               load_grant_o | exec_grant_o;

  function automatic logic hits(logic valid, logic [3:0] number, logic [2:0] i);
    return valid & (number == {1'b0, i});
  endfunction

  // Sums in 9 bits: bit 8 set is an overflow (takes never go below zero).
  always_comb begin
    logic [8:0] sum;
    logic [3:0] hit;
    count_d       = count_q;
    fault_d.valid = 1'b0;
    fault_d.code  = bf_pkg::ErrSemaphore;
    fault_d.index = '0;
    sum           = '0;
    hit           = '0;
    if (any) begin
      for (int unsigned i = 0; i < Count; i++) begin
        hit[0] = hits(signal_load_i.valid, signal_load_i.number, 3'(i));
        hit[1] = hits(signal_exec_i.valid, signal_exec_i.number, 3'(i));
        hit[2] = hits(signal_input_i.valid, signal_input_i.number, 3'(i));
        hit[3] = hits(signal_weight_i.valid, signal_weight_i.number, 3'(i));
        sum = 9'(count_q[i]) - 9'(load_grant_o & (load_number_i == 3'(i))) - 9'(exec_grant_o & (exec_number_i == 3'(i)))
                             + 9'(hit[0]) + 9'(hit[1]) + 9'(hit[2]) + 9'(hit[3]);
        count_d[i] = sum[7:0];
        if (sum[8]) begin
          fault_d.valid = 1'b1;
          fault_d.index = hit[0] ? signal_load_i.index  : hit[1] ? signal_exec_i.index :
                          hit[2] ? signal_input_i.index : signal_weight_i.index;
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      count_q <= '0;
    else if (flush_i) count_q <= '0;
    else if (any)     count_q <= count_d;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) fault_q <= '0;
    else         fault_q <= fault_d;
  end
  assign fault_o = fault_q;

endmodule
