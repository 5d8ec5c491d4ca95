// Bench of bf_front: the functional and the timing build side by side; differ_o stays high once their handshakes differ.
module bf_front_bench
  import bf_pkg::*;
#(
  parameter int unsigned Rows       = 16,
  parameter int unsigned BusBits    = 256,
  parameter int unsigned IbufBytes  = 4096,
  parameter int unsigned PatchDepth = 64
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    stop_i,
  input  logic                    run_valid_i,
  output logic                    run_ready_o,
  input  logic [$bits(run_t)-1:0] run_i,
  input  logic                    ibuf_we_i,
  input  logic [31:0]             ibuf_addr_i,
  input  logic [BusBits-1:0]      ibuf_data_i,
  output logic                    sem_input_valid_o,
  output logic [3:0]              sem_input_o,
  output logic                    chunk_valid_o,
  input  logic                    chunk_ready_i,
  output logic [36*Rows-1:0]      chunk_o,            // mask, data
  output logic                    idle_o,
  output logic                    differ_o
);

  logic               ready, valid, busy, busy_timing, idle, sem_valid;
  logic [3:0]         sem;
  logic [32*Rows-1:0] data, no_data;
  logic [4*Rows-1:0]  mask, no_mask;

  bf_front #(.Rows(Rows), .BusBits(BusBits), .IbufBytes(IbufBytes), .PatchDepth(PatchDepth), .Build(BuildFunctional)) u_functional (
    .clk_i, .rst_ni, .stop_i, .run_valid_i, .run_ready_o, .run_i(run_t'(run_i)),
    .ibuf_we_i, .ibuf_addr_i, .ibuf_data_i, .sem_input_valid_o, .sem_input_o,
    .chunk_valid_o, .chunk_ready_i, .chunk_data_o(data), .chunk_mask_o(mask), .busy_o(busy), .idle_o
  );
  bf_front #(.Rows(Rows), .BusBits(BusBits), .IbufBytes(IbufBytes), .PatchDepth(PatchDepth), .Build(BuildTiming)) u_timing (
    .clk_i, .rst_ni, .stop_i, .run_valid_i, .run_ready_o(ready), .run_i(run_t'(run_i)),
    .ibuf_we_i, .ibuf_addr_i, .ibuf_data_i, .sem_input_valid_o(sem_valid), .sem_input_o(sem),
    .chunk_valid_o(valid), .chunk_ready_i, .chunk_data_o(no_data), .chunk_mask_o(no_mask), .busy_o(busy_timing), .idle_o(idle)
  );

  assign chunk_o = {mask, data};

  logic differ;
  assign differ = {run_ready_o, sem_input_valid_o, chunk_valid_o, busy, idle_o} != {ready, sem_valid, valid, busy_timing, idle} ||
                  (sem_valid && sem != sem_input_o) || no_data != '0 || no_mask != '0;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)     differ_o <= 1'b0;
    else if (differ) differ_o <= 1'b1;
  end

endmodule
