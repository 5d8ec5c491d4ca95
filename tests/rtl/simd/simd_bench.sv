// Streams a file of vectors through LANES units in parallel, one record a unit and clock, and compares every result.
// A record is four big-endian words: function id, rs1, rs2, expected result. File: +vectors=PATH.
module simd_bench #(
  parameter int unsigned LANES = 2
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         done_o,
  output logic [31:0]  checked_o,         // records compared
  output logic [31:0]  mismatches_o,
  output logic [31:0]  first_o,           // number of the first record that differed
  output logic [31:0]  first_result_o,    // what its unit answered
  output logic [127:0] first_record_o
);

  string        path;
  int           file, bytes;
  logic [127:0] records [LANES];
  logic [31:0]  results [LANES];
  logic [31:0]  loaded_q;                 // records in flight: those of the last read

  for (genvar i = 0; i < int'(LANES); i++) begin : gen_lane
    simd_unit u_unit (
      .clk_i,
      .rst_ni,
      .cmd_valid_i       (1'b1),
      .cmd_ready_o       (),
      .cmd_function_id_i (records[i][105:96]),
      .cmd_inputs_0_i    (records[i][95:64]),
      .cmd_inputs_1_i    (records[i][63:32]),
      .rsp_valid_o       (),
      .rsp_ready_i       (1'b1),
      .rsp_outputs_0_o   (results[i])
    );
  end

  initial begin
    if (!$value$plusargs("vectors=%s", path)) $fatal(1, "no +vectors=PATH");
    file = $fopen(path, "rb");
    if (file == 0) $fatal(1, "cannot open %s", path);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      loaded_q       <= '0;
      done_o         <= 1'b0;
      checked_o      <= '0;
      mismatches_o   <= '0;
      first_o        <= '1;
      first_result_o <= '0;
      first_record_o <= '0;
    end else if (!done_o) begin
      for (int i = 0; i < int'(LANES); i++) begin
        if (i < int'(loaded_q) && results[i] !== records[i][31:0]) begin
          mismatches_o = mismatches_o + 1;
          if (first_o == '1) begin
            first_o        = checked_o + i;
            first_result_o = results[i];
            first_record_o = records[i];
          end
        end
      end
      checked_o <= checked_o + loaded_q;
      bytes     = $fread(records, file);
      loaded_q  <= bytes / 16;
      done_o    <= bytes == 0;
    end
  end

endmodule
