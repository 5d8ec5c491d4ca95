// Types that pass between the parts of the control unit.
package bf_control_pkg;

  // An instruction on its way: with the low bits of its number in the program, for error reports.
  typedef struct packed {
    logic [15:0]    index;
    bf_pkg::instr_t instr;
  } issued_t;

  // Why the program has to stop.
  typedef struct packed {
    logic           valid;
    bf_pkg::error_e code;
    logic [15:0]    index;
  } fault_t;

  // What the receiving side of the load unit does with the beats that come back: a LOAD, or a SIGNAL in its turn.
  typedef struct packed {
    logic              signal_only;
    bf_pkg::buffer_e   target;
    logic [3:0]        semaphore;
    logic [15:0]       index;
    logic [15:0]       rows;
    logic [15:0]       beats;
    logic [31:0]       dst;
    logic [31:0]       dstride;
  } transfer_t;

  // A pulse that adds one to a semaphore.
  typedef struct packed {
    logic        valid;
    logic [3:0]  number;
    logic [15:0] index;     // of the instruction to blame if it overflows
  } signal_t;

  // IDs on the AXI read channels: answers of one stream may overtake those of the other.
  localparam logic [3:0] IdLoad  = 4'd0;
  localparam logic [3:0] IdFetch = 4'd1;

  localparam int unsigned Counters = 24;
  localparam int unsigned Marks    = 256;

endpackage
