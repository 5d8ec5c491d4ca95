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
    const uint32_t *p = &words[position / 32];
    uint32_t shift = position % 32;
    if (count > 32) {
        uint32_t word = *p, used = w->used, value = w->value;
        do { // 32 bits in, 32 bits out; a double shift, as a shift by 32 is none
            uint32_t next = *++p;
            uint32_t bits = word >> shift | (next << 1) << (31 - shift);
            *w->next++ = value | bits << used;
            value = (bits >> 1) >> (31 - used);
            word = next;
            count -= 32;
        } while (count > 32);
        w->value = value;
    }
    put_bits(w, get_bits(p, shift, count), count);
}

static inline void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count) {
    for (; count >= 4; count -= 4) { // loads first: a loaded byte can be used two instructions later
        uint8_t a = from[0], b = from[1], c = from[2], d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        from += 4;
        to += 4;
    }
    for (; count > 0; count--) *to++ = *from++;
}

#endif
