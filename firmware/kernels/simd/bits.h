// Streams of packed fields: a writer that fills words, and copies between any two bit positions.
#ifndef MICO_SIMD_BITS_H
#define MICO_SIMD_BITS_H

#include <stdint.h>

// Fills words from the least significant bit; `used` bits (0..31) of `value` wait for their word to be full.
struct bit_writer {
    uint32_t *next;
    uint32_t value;
    uint32_t used;
};

// Append the low `count` bits (1..32) of `bits`; the others must be zero.
static inline void put_bits(struct bit_writer *w, uint32_t bits, uint32_t count) {
    uint32_t used = w->used;
    uint32_t value = w->value | bits << used;
    w->used = used + count;
    if (w->used >= 32) {
        *w->next++ = value;
        value = (bits >> 1) >> (31 - used);
        w->used -= 32;
    }
    w->value = value;
}

// Append `count` zeros.
static inline void put_zeros(struct bit_writer *w, uint32_t count) {
    for (; count > 32; count -= 32) put_bits(w, 0, 32);
    if (count) put_bits(w, 0, count);
}

// Write what waits, zeros above it.
static inline void flush_bits(struct bit_writer *w) {
    if (w->used) *w->next++ = w->value;
    w->value = 0;
    w->used = 0;
}

// `count` bits (1..32) from bit `position`; reads no word that holds none of them.
static inline uint32_t get_bits(const uint32_t *words, uint32_t position, uint32_t count) {
    const uint32_t *p = &words[position / 32];
    uint32_t shift = position % 32;
    uint32_t bits = p[0] >> shift;
    if (shift + count > 32) bits |= p[1] << (32 - shift);
    return count == 32 ? bits : bits & ((1u << count) - 1);
}

// Append `count` bits of `words` from bit `position`.
static inline void copy_bits(struct bit_writer *w, const uint32_t *words, uint32_t position, uint32_t count) {
    if (count <= 32) {
        if (count) put_bits(w, get_bits(words, position, count), count);
        return;
    }
    // Fill the waiting word; from there on source and destination keep one distance.
    uint32_t fill = 32 - w->used;
    put_bits(w, get_bits(words, position, fill), fill);
    position += fill;
    count -= fill;

    const uint32_t *p = &words[position / 32];
    uint32_t shift = position % 32;
    uint32_t *next = w->next;
    if (shift == 0) {
        for (; count >= 32; count -= 32) *next++ = *p++;
    } else if (count >= 32) {
        uint32_t low = *p >> shift;
        do {
            uint32_t word = *++p;
            *next++ = low | word << (32 - shift);
            low = word >> shift;
            count -= 32;
        } while (count >= 32);
    }
    w->next = next;
    if (count) put_bits(w, get_bits(p, shift, count), count);
}

#endif
