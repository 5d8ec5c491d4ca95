// 32 outputs and 32 inputs; the inputs pass two registers.
module soc_gpio (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        valid_i,          // an access, over in this cycle
  input  logic        we_i,
  input  logic [11:2] adr_i,
  input  logic [31:0] wdata_i,
  output logic [31:0] rdata_o,

  input  logic [31:0] gpio_i,
  output logic [31:0] gpio_o
);

  localparam logic [9:0] AdrOut = 10'd0, AdrIn = 10'd1;

  logic [31:0] out_q, meta_q, in_q;

  assign gpio_o = out_q;

  always_comb begin
    unique case (adr_i)
      AdrOut:  rdata_o = out_q;
      AdrIn:   rdata_o = in_q;
      default: rdata_o = '0;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      out_q  <= '0;
      meta_q <= '0;
      in_q   <= '0;
    end else begin
      meta_q <= gpio_i;
      in_q   <= meta_q;
      if (valid_i && we_i && adr_i == AdrOut) out_q <= wdata_i;
    end
  end

endmodule
