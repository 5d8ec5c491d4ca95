// Types of the mixed-precision SIMD unit.
package simd_pkg;

  // Operand and lane widths: 8 >> code bits, as in the weight field of the encoding.
  typedef enum logic [1:0] {
    Width8 = 2'd0,
    Width4 = 2'd1,
    Width2 = 2'd2,
    Width1 = 2'd3
  } width_e;

endpackage
