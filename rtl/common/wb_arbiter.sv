// Two Wishbone masters on one bus. Master 1 goes first when both ask; a master that has begun keeps the bus until its
// access, or its burst, is over. No cycle is lost: a waiting master is served in the cycle after the last beat.
// Master 1 can keep master 0 waiting for as long as it asks: right for the data side of a core, which cannot run on
// without the instructions of master 0.
module wb_arbiter (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        m0_cyc_i,
  input  logic        m0_stb_i,
  input  logic        m0_we_i,
  input  logic [31:2] m0_adr_i,
  input  logic [31:0] m0_wdata_i,
  input  logic [3:0]  m0_sel_i,
  input  logic [2:0]  m0_cti_i,
  output logic        m0_ack_o,
  output logic        m0_err_o,

  input  logic        m1_cyc_i,
  input  logic        m1_stb_i,
  input  logic        m1_we_i,
  input  logic [31:2] m1_adr_i,
  input  logic [31:0] m1_wdata_i,
  input  logic [3:0]  m1_sel_i,
  input  logic [2:0]  m1_cti_i,
  output logic        m1_ack_o,
  output logic        m1_err_o,

  output logic        owner_o,       // the master whose access is on the bus
  output logic        s_cyc_o,
  output logic        s_stb_o,
  output logic        s_we_o,
  output logic [31:2] s_adr_o,
  output logic [31:0] s_wdata_o,
  output logic [3:0]  s_sel_o,
  output logic [2:0]  s_cti_o,
  input  logic        s_ack_i,
  input  logic        s_err_i
);

  localparam logic [2:0] CtiBurst = 3'b010;

  logic locked_d, locked_q;    // an access or a burst has begun and is not over
  logic owner_q;
  logic own;

  assign own     = locked_q ? owner_q : m1_cyc_i;
  assign owner_o = own;

  assign s_cyc_o   = own ? m1_cyc_i   : m0_cyc_i;
  assign s_stb_o   = own ? m1_stb_i   : m0_stb_i;
  assign s_we_o    = own ? m1_we_i    : m0_we_i;
  assign s_adr_o   = own ? m1_adr_i   : m0_adr_i;
  assign s_wdata_o = own ? m1_wdata_i : m0_wdata_i;
  assign s_sel_o   = own ? m1_sel_i   : m0_sel_i;
  assign s_cti_o   = own ? m1_cti_i   : m0_cti_i;

  assign m0_ack_o = ~own & s_ack_i;
  assign m0_err_o = ~own & s_err_i;
  assign m1_ack_o = own & s_ack_i;
  assign m1_err_o = own & s_err_i;

  // Held from the first cycle of an access until its last beat, or until the master drops CYC.
  assign locked_d = s_cyc_o & ~((s_ack_i | s_err_i) & (s_cti_o != CtiBurst));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      locked_q <= 1'b0;
      owner_q  <= 1'b0;
    end else begin
      locked_q <= locked_d;
      owner_q  <= own;
    end
  end

endmodule
