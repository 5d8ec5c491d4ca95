// The streaming engine: one instruction each on the core, the C model of mico_stream_host.c elsewhere, so
// that kernels that use it run on the host under sanitizers. rtl/simd/stream/README.md defines the
// instructions, registers and memory layout, rtl/soc/README.md what core and engine have to do to see each
// other's stores: the two fences below.
#ifndef MICO_STREAM_H
#define MICO_STREAM_H

#include <stdint.h>

enum mico_stream_register {
    MICO_STREAM_CONFIG,
    MICO_STREAM_K,
    MICO_STREAM_LANES_ON,
    MICO_STREAM_SRC_BASE,
    MICO_STREAM_ROWS,
    MICO_STREAM_COLS,
    MICO_STREAM_LEN,
    MICO_STREAM_ROW_STRIDE,
    MICO_STREAM_COL_STRIDE,
    MICO_STREAM_LANE_STEP,
    MICO_STREAM_Y,
    MICO_STREAM_WIDTH,
    MICO_STREAM_HEIGHT,
    MICO_STREAM_DST_BASE,
    MICO_STREAM_DST_STRIDE,
    MICO_STREAM_N,
    MICO_STREAM_STATUS,
    MICO_STREAM_ERROR,
    MICO_STREAM_OPS,
    MICO_STREAM_BUSY,
    MICO_STREAM_STALL,
    MICO_STREAM_INFO,
    MICO_STREAM_M0,
    MICO_STREAM_M1,
    MICO_STREAM_M2,
    MICO_STREAM_M3,
    MICO_STREAM_SHIFT
};

// Fields of CONFIG
#define MICO_STREAM_CODE(bits) ((bits) == 8 ? 0u : (bits) == 4 ? 1u : (bits) == 2 ? 2u : 3u)
#define MICO_STREAM_A(bits)    MICO_STREAM_CODE(bits)
#define MICO_STREAM_W(bits)    (MICO_STREAM_CODE(bits) << 2)
#define MICO_STREAM_AU         (1u << 4)
#define MICO_STREAM_INT32      0u
#define MICO_STREAM_PACK(bits) (1u << 5 | MICO_STREAM_CODE(bits) << 7)
#define MICO_STREAM_LOGIT      (2u << 5)
#define MICO_STREAM_OU         (1u << 9)
#define MICO_STREAM_BIAS       (1u << 10)
#define MICO_STREAM_EXPAND     (1u << 11)
#define MICO_STREAM_TAIL_ZERO  (1u << 12)
#define MICO_STREAM_PAD_MIN    (1u << 13)
#define MICO_STREAM_MIX        (1u << 14)

#define MICO_STREAM_MAX_ELEMENTS 65536u
#define MICO_STREAM_BUFFER_WORDS 2048u // of a lane, that generated code counts on

// funct7 of the operations
#define MICO_STREAM_OP_SET         0x00
#define MICO_STREAM_OP_GET         0x10
#define MICO_STREAM_OP_GATHER      0x20
#define MICO_STREAM_OP_GATHER_LANE 0x30
#define MICO_STREAM_OP_RUN         0x40
#define MICO_STREAM_OP_WAIT        0x50
#define MICO_STREAM_OP_RESET       0x60

// funct3 of MICO_STREAM_OP_RUN, besides 0
#define MICO_STREAM_RUN_POOL      1
#define MICO_STREAM_RUN_POOL_KEEP 2
#define MICO_STREAM_RUN_MAP       3

#if defined(__riscv)

#define MICO_STREAM_CPU_KIND 0xF000000Cu // info block, uncached: 1 is VexRiscv, which has a data cache

// The memory clobber keeps stores before, and loads behind, what the engine does with the memory.
#define MICO_STREAM_INSN(funct7, funct3, rs1, rs2)                                                           \
    __extension__({                                                                                          \
        uint32_t rd_;                                                                                        \
        __asm__ volatile(".insn r 0x0B, %3, %4, %0, %1, %2"                                                  \
                         : "=r"(rd_)                                                                         \
                         : "r"((uint32_t)(rs1)), "r"((uint32_t)(rs2)), "i"(funct3), "i"(funct7)              \
                         : "memory");                                                                        \
        rd_;                                                                                                 \
    })

static inline uint32_t mico_stream_address(const void *pointer) {
    return (uint32_t)(uintptr_t)pointer;
}

#else

uint32_t mico_stream_execute(uint32_t funct7, uint32_t funct3, uint32_t rs1, uint32_t rs2);
// 32-bit name of a static object; aborts for one that cannot be named (stack, heap).
uint32_t mico_stream_address(const void *pointer);
// Let addresses base .. base + bytes mean `memory`, and nothing else be RAM, as in the SoC.
void mico_stream_host_ram(uint8_t *memory, uint32_t base, uint32_t bytes);
// Lanes (1..4) and words of a lane buffer of the engine modelled; also resets it. 4 and 2048 unless called.
void mico_stream_host_size(uint32_t lanes, uint32_t buffer_words);

#define MICO_STREAM_INSN(funct7, funct3, rs1, rs2)                                                           \
    mico_stream_execute(funct7, funct3, (uint32_t)(rs1), (uint32_t)(rs2))

#endif

static inline void mico_stream_set(uint32_t index, uint32_t value) {
    (void)MICO_STREAM_INSN(MICO_STREAM_OP_SET, 0, value, index);
}

static inline uint32_t mico_stream_get(uint32_t index) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_GET, 0, 0, index);
}

// Word of a lane's buffer.
static inline uint32_t mico_stream_peek(uint32_t lane, uint32_t word) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_GET, 1, word, lane);
}

// All lanes in use; both in bits, and the number of the operation as answer.
static inline uint32_t mico_stream_gather(int32_t offset, int32_t x) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_GATHER, 0, offset, x);
}

// One lane, a compile-time constant.
#define mico_stream_gather_lane(lane, offset, x) MICO_STREAM_INSN(MICO_STREAM_OP_GATHER_LANE, lane, offset, x)

// `weights`: mico_stream_address of the weight stream; `offset`: bits from DST_BASE.
static inline uint32_t mico_stream_run(uint32_t weights, int32_t offset) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_RUN, 0, weights, offset);
}

// Maximum over the lanes in use of each of `elements` elements, to memory; `offset`: bits from DST_BASE.
static inline uint32_t mico_stream_pool(uint32_t elements, int32_t offset) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_RUN, MICO_STREAM_RUN_POOL, elements, offset);
}

// The same to the buffer of lane 0.
static inline uint32_t mico_stream_pool_keep(uint32_t elements) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_RUN, MICO_STREAM_RUN_POOL_KEEP, elements, 0);
}

// Weighted sum over K terms of all lanes in use for each of `elements` elements, requantised.
static inline uint32_t mico_stream_map(uint32_t elements, int32_t offset) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_RUN, MICO_STREAM_RUN_MAP, elements, offset);
}

// Waits until all results are in memory; answers STATUS, 0 without error.
static inline uint32_t mico_stream_wait(void) {
    return MICO_STREAM_INSN(MICO_STREAM_OP_WAIT, 0, 0, 0);
}

static inline void mico_stream_reset(void) {
    (void)MICO_STREAM_INSN(MICO_STREAM_OP_RESET, 0, 0, 0);
}

// Lanes that the engine has.
static inline uint32_t mico_stream_lanes(void) {
    return mico_stream_get(MICO_STREAM_INFO) >> 8 & 255;
}

// Words that a lane buffer holds.
static inline uint32_t mico_stream_buffer_words(void) {
    return mico_stream_get(MICO_STREAM_INFO) >> 16;
}

// Before the engine reads what the core has stored: an uncached load is answered behind all stores.
static inline void mico_stream_fence_before(void) {
#if defined(__riscv)
    (void)*(volatile uint32_t *)MICO_STREAM_CPU_KIND;
#endif
}

// After mico_stream_wait, before the core loads what the engine has written: the core drops its cached lines.
static inline void mico_stream_fence_after(void) {
#if defined(__riscv)
    if (*(volatile uint32_t *)MICO_STREAM_CPU_KIND == 1) __asm__ volatile(".word 0x0000500F" ::: "memory");
#endif
}

#endif
