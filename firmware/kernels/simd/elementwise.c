// Operators that rescale single elements, a word of the input at a time: residual add, concatenation,
// requantisation.
#include "inline.h"
#include "store.h"

#define CHUNK 32 // elements between unpacking and requantising: a word of 1-bit fields at least

// Reads packed fields in memory order.
struct field_reader {
    const uint32_t *next;
    uint32_t word, left; // fields left in `word`
    uint32_t bits, is_signed;
};

static struct field_reader reader_begin(const struct mico_tensor *t) {
    return (struct field_reader){t->data, 0, 0, t->bits, t->is_signed};
}

INLINED void read_as(struct field_reader *r, int32_t *values, uint32_t count, uint32_t bits,
                     uint32_t is_signed) {
    struct field_reader s = *r;
    for (uint32_t i = 0; i < count; i++) {
        if (s.left == 0) {
            s.word = *s.next++;
            s.left = 32 / bits;
        }
        if (!is_signed)
            values[i] = (int32_t)(s.word & ((1u << bits) - 1));
        else if (bits == 1)
            values[i] = 1 - 2 * (int32_t)(s.word & 1);
        else
            values[i] = (int32_t)(s.word << (32 - bits)) >> (32 - bits);
        s.word >>= bits;
        s.left--;
    }
    *r = s;
}

// The next `count` elements as integers.
static void read_fields(struct field_reader *r, int32_t *values, uint32_t count) {
    switch (r->bits * 2 + r->is_signed) {
    case 16:
        read_as(r, values, count, 8, 0);
        break;
    case 17:
        read_as(r, values, count, 8, 1);
        break;
    case 8:
        read_as(r, values, count, 4, 0);
        break;
    case 9:
        read_as(r, values, count, 4, 1);
        break;
    case 4:
        read_as(r, values, count, 2, 0);
        break;
    case 5:
        read_as(r, values, count, 2, 1);
        break;
    case 2:
        read_as(r, values, count, 1, 0);
        break;
    default:
        read_as(r, values, count, 1, 1);
        break;
    }
}

static uint32_t elements(const struct mico_tensor *t) {
    return t->height * t->width * t->channels;
}

static void requantise_fields(struct field_reader *in, store_function *store, struct bit_writer *w,
                              const struct mico_scale *scale, uint32_t count) {
    int32_t values[CHUNK];
    for (uint32_t done = 0; done < count; done += CHUNK) {
        uint32_t n = count - done < CHUNK ? count - done : CHUNK;
        read_fields(in, values, n);
        store(w, values, scale, 0, n, 1);
    }
}

void mico_requant(const struct mico_requant *d) {
    struct field_reader in = reader_begin(&d->input);
    struct bit_writer w = {d->output.data, 0, 0};
    requantise_fields(&in, store_for(&d->output, &d->scale, 1), &w, &d->scale, elements(&d->output));
    flush_bits(&w);
}

// Channels of one pixel are one run of the input; inputs take turns.
void mico_concat(const struct mico_concat *d) {
    struct bit_writer w = {d->output.data, 0, 0};
    store_function *store = store_for(&d->output, d->scales, d->count);
    for (uint32_t pixel = 0; pixel < d->output.height * d->output.width; pixel++) {
        for (uint32_t i = 0; i < d->count; i++) {
            const struct mico_tensor *t = &d->input[i];
            uint32_t position = pixel * t->channels * t->bits;
            struct field_reader in = reader_begin(t);
            in.next += position / 32;
            if (position % 32) {
                in.word = *in.next++ >> position % 32;
                in.left = (32 - position % 32) / t->bits;
            }
            requantise_fields(&in, store, &w, &d->scales[i], t->channels);
        }
    }
    flush_bits(&w);
}

void mico_add(const struct mico_add *d) {
    struct field_reader in[2] = {reader_begin(&d->input[0]), reader_begin(&d->input[1])};
    struct bit_writer w = {d->output.data, 0, 0};
    uint32_t count = elements(&d->output);
    for (uint32_t done = 0; done < count; done += CHUNK) {
        int32_t a[CHUNK], b[CHUNK];
        uint32_t n = count - done < CHUNK ? count - done : CHUNK;
        read_fields(&in[0], a, n);
        read_fields(&in[1], b, n);
        for (uint32_t i = 0; i < n; i++) {
            int64_t sum = (int64_t)a[i] * d->multiplier[0] + (int64_t)b[i] * d->multiplier[1];
            // {-1, +1} takes the sign of the sum itself, before any rounding.
            uint32_t sign = d->output.bits == 1 && d->output.is_signed;
            store_value(&w, &d->output, sign ? (int32_t)(sum >> 63) : round_shift(sum, d->shift));
        }
    }
    flush_bits(&w);
}
