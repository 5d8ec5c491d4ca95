// Whether the registers of a RUN go together (error FIELD): what the README calls illegal, so that the datapath need not ask.
module bf_run_check #(
  parameter int unsigned Rows       = 16,
  parameter int unsigned Cols       = 32,
  parameter int unsigned PatchDepth = 64
) (
  input  bf_pkg::run_t run_i,
  output logic         legal_o
);

  localparam int unsigned VectorW = $clog2(Cols * 32 + 1);

  logic               counts, po_known, groups, output_fits, pool, array_fits, vector_fits;
  logic [15:0]        slots;
  logic [VectorW-1:0] out_bits, act_bits;

  assign counts = (run_i.seg != '0) & (run_i.j != '0) & (run_i.k != '0) & (run_i.px != '0) & (run_i.py != '0) &
                  (run_i.ox != '0) & (run_i.oy != '0) & (run_i.b != '0) & (run_i.nch != '0) & (run_i.noct != '0);

  // Pooled octets
  assign po_known = (run_i.po == 3'd1) | (run_i.po == 3'd2) | (run_i.po == 3'd4);
  assign groups   = po_known & ~(run_i.po[1] & run_i.noct[0]) & ~(run_i.po[2] & (run_i.noct[1:0] != '0));
  assign slots    = run_i.noct >> {run_i.po[2], run_i.po[1]};
  assign pool     = (run_i.px != 16'd1) | (run_i.py != 16'd1) | (run_i.po != 3'd1);

  // Bytes of a vector of outputs or of inputs
  assign out_bits    = run_i.mode.out_wide ? VectorW'(Cols * 32) : VectorW'(Cols) << run_i.mode.out_log2;
  assign act_bits    = VectorW'(Cols) << run_i.mode.act_log2;
  assign output_fits = (out_bits[2:0] == '0) & (run_i.olast != '0) & (run_i.olast <= 16'(out_bits >> 3));

  // Chunks are whole bytes: with 4 one-bit activations a unit, of an even number of units.
  assign array_fits  = ((run_i.noct == 16'd1) | (32'(run_i.nch) <= PatchDepth)) &
                       ((Rows % 2 == 0) | (run_i.mode.act_log2 != 2'd0) | (run_i.mode.wgt_log2 != 2'd3));
  assign vector_fits = ~pool & (run_i.nch == 16'd1) & run_i.mode.init & run_i.mode.emit &
                       (act_bits[2:0] == '0) & (run_i.seg == 16'(act_bits >> 3)) & (32'(run_i.seg) <= 4 * Rows) &
                       (run_i.mode.vector_op != 2'd3) & (run_i.mode.requant | (run_i.mode.vector_op != bf_pkg::VecMac));

  assign legal_o = counts & groups & (~run_i.mode.emit | output_fits) &
                   (~pool | ~run_i.mode.emit | (~run_i.mode.out_wide & (slots <= 16'd32))) &
                   (run_i.mode.vector ? vector_fits : array_fits);

  logic unused_ok;
  assign unused_ok = &{1'b0, run_i};

endmodule
