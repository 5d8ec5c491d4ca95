// Inlining and unrolling of hot loops: on the core, so that widths and sub-word indices are constants in
// them. Not on the host, where sanitizers multiply the code and speed does not matter.
#ifndef MICO_SIMD_INLINE_H
#define MICO_SIMD_INLINE_H

#if defined(__riscv)
#define UNROLLED_(text) _Pragma(#text)
#define UNROLLED(times) UNROLLED_(GCC unroll times)
#define INLINED         static inline __attribute__((always_inline))
#else
#define UNROLLED(times)
#define INLINED static inline
#endif
#define NOT_INLINED __attribute__((noinline))

#endif
