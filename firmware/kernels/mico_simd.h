// The SIMD unit's dot product: one instruction on the core, a C model of the same encodings elsewhere, so
// that the SIMD kernels run on the host under sanitizers. rtl/simd/README.md defines the encodings (version
// 1).
#ifndef MICO_SIMD_H
#define MICO_SIMD_H

#include <stdint.h>

// funct7 and funct3 of the dot product of `a_bits`-wide activations with sub-word `index` of the narrower
// operand.
#define MICO_SIMD_FUNCT7(a_bits, a_unsigned, index)                                                          \
    ((((index)&3) << 5) | ((a_unsigned) << 4) |                                                              \
     ((a_bits) == 8   ? 1                                                                                    \
      : (a_bits) == 4 ? 2                                                                                    \
      : (a_bits) == 2 ? 4                                                                                    \
                      : 8))
#define MICO_SIMD_FUNCT3(w_bits, index)                                                                      \
    ((((index)&4) ? 0 : 4) | ((w_bits) == 8 ? 0 : (w_bits) == 4 ? 1 : (w_bits) == 2 ? 2 : 3))

#if defined(__riscv)

// Instructions of the inner loops, volatile so that they stay in the order written, which compilers cannot
// know to be good for an instruction that they do not know. Measured on VexRiscv: a dot product within two
// instructions of a load waits for it, whatever it loads; one directly after another waits a cycle; its
// result can be used from the second instruction after it, a loaded word or a high product from the third.
#define SIMD_LOAD(rd, word) __asm__ volatile("lw %0, %1" : "=r"(rd) : "m"(word))
#define SIMD_ADD(sum, part) __asm__ volatile("add %0, %0, %1" : "+r"(sum) : "r"(part))

// rd = dot product; widths and index must be compile-time constants.
#define SIMD_DOT(rd, a_bits, a_unsigned, w_bits, index, activations, weights)                                \
    __asm__ volatile(".insn r 0x0B, %3, %4, %0, %1, %2"                                                      \
                     : "=r"(rd)                                                                              \
                     : "r"(activations), "r"(weights), "i"(MICO_SIMD_FUNCT3(w_bits, index)),                 \
                       "i"(MICO_SIMD_FUNCT7(a_bits, a_unsigned, index)))

#else

static inline int32_t mico_simd_field(uint32_t word, uint32_t position, uint32_t bits, uint32_t is_unsigned) {
    uint32_t code = (word >> position) & ((1u << bits) - 1);
    if (is_unsigned) return (int32_t)code;
    if (bits == 1) return code ? -1 : 1;
    return (int32_t)code - (code >> (bits - 1) ? 1 << bits : 0);
}

// What the unit answers to {funct7, funct3}; 0 for an encoding that it does not know.
__attribute__((noinline)) static uint32_t mico_simd_model(uint32_t funct7, uint32_t funct3,
                                                          uint32_t activations, uint32_t weights) {
    uint32_t one_hot = funct7 & 15;
    if (one_hot != 1 && one_hot != 2 && one_hot != 4 && one_hot != 8) return 0;
    uint32_t a_bits = 8 / one_hot;
    uint32_t w_bits = 8 >> (funct3 & 3);
    uint32_t index = ((~funct3 & 4) | ((funct7 >> 5) & 3));
    uint32_t wide = a_bits > w_bits ? a_bits : w_bits;
    uint32_t narrow = a_bits > w_bits ? w_bits : a_bits;
    if (index >= wide / narrow) return 0;
    uint32_t first = index * (32 / wide);
    int32_t sum = 0;
    for (uint32_t i = 0; i < 32 / wide; i++) {
        uint32_t a = (a_bits < w_bits ? first + i : i) * a_bits;
        uint32_t w = (w_bits < a_bits ? first + i : i) * w_bits;
        sum += mico_simd_field(activations, a, a_bits, (funct7 >> 4) & 1) *
               mico_simd_field(weights, w, w_bits, 0);
    }
    return (uint32_t)sum;
}

#define SIMD_LOAD(rd, word) ((rd) = (word))
#define SIMD_ADD(sum, part) ((sum) += (part))
#define SIMD_DOT(rd, a_bits, a_unsigned, w_bits, index, activations, weights)                                \
    ((rd) = mico_simd_model(MICO_SIMD_FUNCT7(a_bits, a_unsigned, index), MICO_SIMD_FUNCT3(w_bits, index),    \
                            activations, weights))

#endif
#endif
