// Host model of the streaming engine, an instruction at a time: what mico_stream.h's functions do where there
// is no engine. It touches only the bytes that hold bits it needs, so a sanitizer sees a kernel that points
// it outside its buffers. Plain and slow. Cycles are not modelled: BUSY and STALL count nothing.
#if !defined(__riscv)

#include "mico_stream.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERROR_ENCODING = 1,
    ERROR_REGISTER,
    ERROR_CONFIG,
    ERROR_LANE,
    ERROR_COUNT,
    ERROR_BUFFER,
    ERROR_SOURCE,
    ERROR_WEIGHTS,
    ERROR_DESTINATION,
    ERROR_REQUANT
};

#define MAX_LANES 4
#define MAX_WORDS 2048
#define REGISTERS 27

static uint32_t lanes = 4, buffer_words = MAX_WORDS;
static uint32_t buffers[MAX_LANES][MAX_WORDS];
static uint32_t registers[REGISTERS] = {
    [MICO_STREAM_LANES_ON] = 1, [MICO_STREAM_ROWS] = 1, [MICO_STREAM_COLS] = 1, [MICO_STREAM_N] = 1};
static uint8_t *ram;
static uint32_t ram_base, ram_bytes;

// Memory

// Static objects lie within 2 GiB of each other: their addresses are named by the low 32 bits.
static uint8_t *pointer_to(uint32_t address) {
    return (uint8_t *)buffers + (int32_t)(address - (uint32_t)(uintptr_t)buffers);
}

uint32_t mico_stream_address(const void *pointer) {
    if (ram) {
        ptrdiff_t offset = (const uint8_t *)pointer - ram;
        if (offset >= 0 && offset < (ptrdiff_t)ram_bytes) return ram_base + (uint32_t)offset;
    } else if (pointer_to((uint32_t)(uintptr_t)pointer) == pointer) {
        return (uint32_t)(uintptr_t)pointer;
    }
    fprintf(stderr, "mico_stream_address: %p is not in the engine's memory; make the object static\n",
            pointer);
    abort();
}

void mico_stream_host_ram(uint8_t *memory, uint32_t base, uint32_t bytes) {
    ram = memory;
    ram_base = base;
    ram_bytes = bytes;
}

void mico_stream_host_size(uint32_t new_lanes, uint32_t new_words) {
    if (new_lanes < 1 || new_lanes > MAX_LANES || new_words < 4 || new_words > MAX_WORDS) abort();
    lanes = new_lanes;
    buffer_words = new_words;
    memset(buffers, 0, sizeof buffers);
    mico_stream_reset();
}

// The byte at an address, NULL outside the RAM.
static uint8_t *byte_at(uint32_t address) {
    if (!ram) return pointer_to(address);
    return address - ram_base < ram_bytes ? ram + (address - ram_base) : NULL;
}

// Reads a bit, or writes it: 0 where the address is outside the RAM.
static int read_bit(uint64_t position, uint32_t *bit) {
    const uint8_t *byte = byte_at((uint32_t)(position >> 3));
    if (!byte) return 0;
    *bit = *byte >> (position & 7) & 1;
    return 1;
}

static int write_bit(uint64_t position, uint32_t bit) {
    uint8_t *byte = byte_at((uint32_t)(position >> 3));
    if (!byte) return 0;
    *byte = (uint8_t)((*byte & ~(1u << (position & 7))) | bit << (position & 7));
    return 1;
}

static int read_word(uint32_t address, uint32_t *word) {
    *word = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t *byte = byte_at(address + i);
        if (!byte) return 0;
        *word |= (uint32_t)*byte << (8 * i);
    }
    return 1;
}

static uint64_t bit_address(uint32_t base, uint32_t offset) {
    return (((uint64_t)base << 3) + (uint64_t)(int64_t)(int32_t)offset) & 0x7FFFFFFFFull;
}

// Settings

static uint32_t config(uint32_t low, uint32_t bits) {
    return registers[MICO_STREAM_CONFIG] >> low & ((1u << bits) - 1);
}

static uint32_t a_bits(void) {
    return 8u >> config(0, 2);
}
static uint32_t w_bits(void) {
    return 8u >> config(2, 2);
}
static uint32_t out_bits(void) {
    return config(5, 2) == 1 ? 8u >> config(7, 2) : 32;
}

static void fail(uint32_t code) {
    if (!registers[MICO_STREAM_ERROR]) registers[MICO_STREAM_ERROR] = code;
}

static void set(uint32_t index, uint32_t value) {
    static const uint8_t widths[REGISTERS] = {15, 17, 3, 32, 16, 16, 17, 32, 32, 32, 32, 31, 31, 32,
                                              32, 16, 0, 32, 32, 32, 32, 0,  31, 31, 31, 31, 6};
    if (index >= REGISTERS || !widths[index] || (uint64_t)value >> widths[index]) {
        fail(ERROR_REGISTER);
    } else {
        registers[index] = index == MICO_STREAM_ERROR ? 0 : value;
    }
}

static uint32_t status(void) {
    return registers[MICO_STREAM_ERROR] << 8 | (registers[MICO_STREAM_ERROR] ? 2u : 0u);
}

static uint32_t get(uint32_t index) {
    if (index == MICO_STREAM_STATUS) return status();
    if (index == MICO_STREAM_INFO) return buffer_words << 16 | lanes << 8 | 2;
    return index < REGISTERS ? registers[index] : 0;
}

// GATHER

static void put_bit(uint32_t lane, uint32_t position, uint32_t bit) {
    uint32_t *word = &buffers[lane][position >> 5];
    if ((position & 31) == 0) *word = 0;
    *word |= bit << (position & 31);
}

// A bit of padding at a place of the buffer.
static uint32_t padding(uint32_t position) {
    return config(13, 1) && !config(4, 1) && !config(11, 1) && position % a_bits() == a_bits() - 1;
}

static uint32_t gather_lane(uint32_t lane, uint32_t offset, uint32_t x, uint32_t d) {
    uint32_t expand = config(11, 1), position = 0;
    for (uint32_t i = 0; i < registers[MICO_STREAM_ROWS]; i++) {
        uint32_t y = registers[MICO_STREAM_Y] + i;
        for (uint32_t j = 0; j < registers[MICO_STREAM_COLS]; j++) {
            uint64_t jump = (uint64_t)(int64_t)(int32_t)registers[MICO_STREAM_COL_STRIDE] * j +
                            (uint64_t)(int64_t)(int32_t)registers[MICO_STREAM_LANE_STEP] * d;
            uint64_t start = bit_address(registers[MICO_STREAM_SRC_BASE], offset) + jump +
                             (uint64_t)(int64_t)(int32_t)registers[MICO_STREAM_ROW_STRIDE] * i;
            for (uint32_t b = 0; b < registers[MICO_STREAM_LEN]; b++) {
                uint32_t px = x + (uint32_t)jump + b, bit = padding(position);
                // Unsigned: a negative place is beyond every image
                uint32_t inside = y < registers[MICO_STREAM_HEIGHT] && px < registers[MICO_STREAM_WIDTH];
                if (inside && !read_bit((start + b) & 0x7FFFFFFFFull, &bit)) return ERROR_SOURCE;
                if (expand) put_bit(lane, position++, inside);
                put_bit(lane, position++, bit);
            }
        }
    }
    return 0;
}

static uint32_t gather(uint32_t offset, uint32_t x, uint32_t first, uint32_t end) {
    uint32_t rows = registers[MICO_STREAM_ROWS], cols = registers[MICO_STREAM_COLS];
    uint32_t length = registers[MICO_STREAM_LEN], lanes_on = registers[MICO_STREAM_LANES_ON];
    if (lanes_on == 0 || lanes_on > lanes || end > lanes) return ERROR_LANE;
    if (!rows || !cols || !length || length > 65536) return ERROR_COUNT;
    uint64_t bits = (uint64_t)rows * cols;
    if (bits * length > buffer_words * (config(11, 1) ? 16ull : 32ull)) return ERROR_BUFFER;
    uint32_t error = 0;
    for (uint32_t lane = first; lane < end && !error; lane++)
        error = gather_lane(lane, offset, x, lane - first);
    return error;
}

// RUN

static int32_t element(const uint32_t *words, uint32_t index, uint32_t bits, uint32_t is_unsigned) {
    uint32_t code = words[index * bits / 32] >> (index * bits % 32) & ((1u << bits) - 1);
    if (is_unsigned) return (int32_t)code;
    if (bits == 1) return code ? -1 : 1;
    return (int32_t)code - (code >> (bits - 1) ? 1 << bits : 0);
}

// The code of product * 2^-shift in the output's format.
static uint32_t requantise(int64_t product, uint32_t shift) {
    uint32_t bits = out_bits(), is_unsigned = config(5, 2) == 1 && config(9, 1);
    if (bits == 1 && !is_unsigned) return product < 0;
    int64_t y = (product + ((int64_t)1 << (shift - 1))) >> shift;
    int64_t low = is_unsigned ? 0 : -((int64_t)1 << (bits - 1));
    int64_t high = low + ((int64_t)1 << bits) - 1;
    return (uint32_t)(y < low ? low : y > high ? high : y);
}

// The low `bits` of `code`; 0 if one of them is outside the RAM.
static int write_code(uint64_t position, uint32_t code, uint32_t bits) {
    for (uint32_t i = 0; i < bits; i++)
        if (!write_bit((position + i) & 0x7FFFFFFFFull, code >> i & 1)) return 0;
    return 1;
}

// Zeros behind the last result up to the end of its byte, with TAIL_ZERO.
static void write_tail(uint64_t position) {
    for (; config(12, 1) && position & 7; position++) write_bit(position & 0x7FFFFFFFFull, 0);
}

static uint32_t run_row(uint32_t row, uint32_t *address, const uint64_t *starts) {
    static uint32_t words[65536 / 4];
    uint32_t k = registers[MICO_STREAM_K], out = config(5, 2), o = out_bits();
    uint32_t header[3] = {0, 0, 0};
    uint32_t count = out ? 3 : config(10, 1);
    for (uint32_t i = 0; i < count + (k * w_bits() + 31) / 32; i++, *address += 4)
        if (!read_word(*address, i < count ? &header[i] : &words[i - count])) return ERROR_WEIGHTS;
    uint32_t shift = header[2] & 255;
    if (out && (header[1] == 0 || header[1] >> 31 || shift == 0 || shift > 62)) return ERROR_REQUANT;
    for (uint32_t lane = 0; lane < registers[MICO_STREAM_LANES_ON]; lane++) {
        uint32_t acc = header[0];
        for (uint32_t i = 0; i < k; i++)
            acc += (uint32_t)(element(words, i, w_bits(), 0) *
                              element(buffers[lane], i, a_bits(), config(4, 1)));
        uint32_t code = out ? requantise((int64_t)(int32_t)acc * (int32_t)header[1], shift) : acc;
        uint64_t position = starts[lane] + (uint64_t)row * o;
        if (!write_code(position, code, o)) return ERROR_DESTINATION;
        uint32_t tail = row + 1 == registers[MICO_STREAM_N] && lane + 1 == registers[MICO_STREAM_LANES_ON];
        if (tail) write_tail(position + o);
    }
    return 0;
}

static uint32_t run(uint32_t address, uint32_t offset) {
    uint32_t k = registers[MICO_STREAM_K], lanes_on = registers[MICO_STREAM_LANES_ON];
    if (config(5, 2) == 3) return ERROR_CONFIG;
    if (lanes_on == 0 || lanes_on > lanes) return ERROR_LANE;
    if (!k || !registers[MICO_STREAM_N] || k * a_bits() > buffer_words * 32) return ERROR_COUNT;
    if (address & 3) return ERROR_WEIGHTS;
    uint64_t starts[MAX_LANES];
    for (uint32_t lane = 0; lane < lanes_on; lane++) {
        starts[lane] = bit_address(registers[MICO_STREAM_DST_BASE], offset) +
                       (uint64_t)(int64_t)(int32_t)registers[MICO_STREAM_DST_STRIDE] * lane;
        if (starts[lane] % out_bits()) return ERROR_DESTINATION;
    }
    uint32_t error = 0;
    for (uint32_t row = 0; row < registers[MICO_STREAM_N] && !error; row++)
        error = run_row(row, &address, starts);
    return error;
}

// POOL and MAP

// A bit of lane 0's buffer; the others keep their value.
static void put_bit_over(uint32_t position, uint32_t bit) {
    uint32_t *word = &buffers[0][position / 32];
    *word = (*word & ~(1u << position % 32)) | bit << position % 32;
}

static uint32_t check_elements(uint32_t elements) {
    if (registers[MICO_STREAM_LANES_ON] == 0 || registers[MICO_STREAM_LANES_ON] > lanes) return ERROR_LANE;
    if (!elements || elements > 65536 || elements * a_bits() > buffer_words * 32) return ERROR_COUNT;
    return 0;
}

static uint32_t pool(uint32_t elements, uint32_t offset, uint32_t keep) {
    uint32_t bits = a_bits(), is_unsigned = config(4, 1), error = check_elements(elements);
    uint64_t start = bit_address(registers[MICO_STREAM_DST_BASE], offset);
    if (error) return error;
    if (!keep && start % bits) return ERROR_DESTINATION;
    for (uint32_t e = 0; e < elements; e++) {
        int32_t best = element(buffers[0], e, bits, is_unsigned);
        for (uint32_t lane = 1; lane < registers[MICO_STREAM_LANES_ON]; lane++) {
            int32_t value = element(buffers[lane], e, bits, is_unsigned);
            if (value > best) best = value;
        }
        uint32_t code = bits == 1 && !is_unsigned ? best < 0 : (uint32_t)best;
        if (!keep && !write_code(start + (uint64_t)e * bits, code, bits)) return ERROR_DESTINATION;
        for (uint32_t i = 0; keep && i < bits; i++) // an element of all lanes before the next of lane 0
            put_bit_over(e * bits + i, code >> i & 1);
    }
    if (!keep) write_tail(start + (uint64_t)elements * bits);
    for (uint32_t i = elements * bits; keep && i % 32; i++) put_bit_over(i, 0);
    return 0;
}

static uint32_t map(uint32_t elements, uint32_t offset) {
    uint32_t terms = registers[MICO_STREAM_K], shift = registers[MICO_STREAM_SHIFT], o = out_bits();
    uint64_t start = bit_address(registers[MICO_STREAM_DST_BASE], offset);
    if (config(5, 2) == 0 || config(5, 2) == 3) return ERROR_CONFIG;
    uint32_t error = check_elements(elements), bad = shift == 0 || shift > 62;
    if (error || !terms) return error ? error : ERROR_COUNT;
    if (start % o) return ERROR_DESTINATION;
    for (uint32_t lane = 0; lane < registers[MICO_STREAM_LANES_ON]; lane++)
        bad |= registers[MICO_STREAM_M0 + lane] == 0;
    if (bad) return ERROR_REQUANT;
    if ((uint64_t)terms * elements * a_bits() > buffer_words * 32ull) return ERROR_BUFFER;
    for (uint32_t e = 0; e < elements; e++) {
        int64_t sum = 0;
        for (uint32_t lane = 0; lane < registers[MICO_STREAM_LANES_ON]; lane++) {
            uint32_t is_unsigned = config(4, 1) ^ (lane > 0 && config(14, 1));
            for (uint32_t i = 0; i < terms; i++)
                sum += (int64_t)registers[MICO_STREAM_M0 + lane] *
                       element(buffers[lane], i * elements + e, a_bits(), is_unsigned);
        }
        if (!write_code(start + (uint64_t)e * o, requantise(sum, shift), o)) return ERROR_DESTINATION;
    }
    write_tail(start + (uint64_t)elements * o);
    return 0;
}

// RUN, POOL, POOL_KEEP, MAP
static uint32_t results(uint32_t funct3, uint32_t rs1, uint32_t rs2) {
    switch (funct3) {
    case 0:
        return run(rs1, rs2);
    case MICO_STREAM_RUN_MAP:
        return map(rs1, rs2);
    default:
        return pool(rs1, rs2, funct3 == MICO_STREAM_RUN_POOL_KEEP);
    }
}

// Instructions

uint32_t mico_stream_execute(uint32_t funct7, uint32_t funct3, uint32_t rs1, uint32_t rs2) {
    uint32_t highest = funct7 == MICO_STREAM_OP_GET           ? 1
                       : funct7 == MICO_STREAM_OP_GATHER_LANE ? 7
                       : funct7 == MICO_STREAM_OP_RUN         ? 3
                                                              : 0;
    if (funct7 == 0x70) return 0;
    if (funct7 & 15 || funct7 > 0x70 || funct3 > highest) {
        fail(ERROR_ENCODING);
        return 0;
    }
    uint32_t error = registers[MICO_STREAM_ERROR];
    switch (funct7) {
    case MICO_STREAM_OP_SET:
        set(rs2, rs1);
        return 0;
    case MICO_STREAM_OP_GET:
        if (!funct3) return get(rs2);
        if (rs2 < lanes && rs1 < buffer_words) return buffers[rs2][rs1];
        fail(ERROR_LANE);
        return 0;
    case MICO_STREAM_OP_WAIT:
        return status();
    case MICO_STREAM_OP_RESET:
        memset(registers, 0, sizeof registers);
        registers[MICO_STREAM_LANES_ON] = registers[MICO_STREAM_ROWS] = 1;
        registers[MICO_STREAM_COLS] = registers[MICO_STREAM_N] = 1;
        return 0;
    case MICO_STREAM_OP_GATHER:
        if (!error) error = gather(rs1, rs2, 0, registers[MICO_STREAM_LANES_ON]);
        break;
    case MICO_STREAM_OP_GATHER_LANE:
        if (!error) error = gather(rs1, rs2, funct3, funct3 + 1);
        break;
    default:
        if (!error) error = results(funct3, rs1, rs2);
    }
    if (error) fail(error);
    return ++registers[MICO_STREAM_OPS];
}

#endif
