// Environment of this SoC for riscv-tests: machine mode only, everything in RAM, the verdict over the UART as
// a line: "P", or "F" and the number of the case that failed, or "T" with mcause and mepc of a trap that
// nobody awaited.
#ifndef MICO_RISCV_TEST_H
#define MICO_RISCV_TEST_H

#define CAUSE_MISALIGNED_FETCH    0
#define CAUSE_FETCH_ACCESS        1
#define CAUSE_ILLEGAL_INSTRUCTION 2
#define CAUSE_BREAKPOINT          3
#define CAUSE_MISALIGNED_LOAD     4
#define CAUSE_LOAD_ACCESS         5
#define CAUSE_MISALIGNED_STORE    6
#define CAUSE_STORE_ACCESS        7
#define CAUSE_USER_ECALL          8
#define CAUSE_SUPERVISOR_ECALL    9
#define CAUSE_MACHINE_ECALL       11

#define PRV_U 0
#define PRV_S 1
#define PRV_M 3

#define MSTATUS_SIE  0x00000002
#define MSTATUS_MIE  0x00000008
#define MSTATUS_MPIE 0x00000080
#define MSTATUS_SPP  0x00000100
#define MSTATUS_MPP  0x00001800
#define MSTATUS_FS   0x00006000
#define MSTATUS_XS   0x00018000
#define MSTATUS_MPRV 0x00020000
#define MSTATUS_TVM  0x00100000
#define MSTATUS_TW   0x00200000
#define MSTATUS_TSR  0x00400000

#define SSTATUS_SPIE 0x00000020
#define SSTATUS_SPP  0x00000100
#define SSTATUS_SUM  0x00040000
#define SSTATUS_MXR  0x00080000

#define MIP_SSIP 0x002
#define MIP_MSIP 0x008
#define MIP_MTIP 0x080

#define MCONTROL_LOAD    (1 << 0)
#define MCONTROL_STORE   (1 << 1)
#define MCONTROL_EXECUTE (1 << 2)
#define MCONTROL_U       (1 << 3)
#define MCONTROL_S       (1 << 4)
#define MCONTROL_M       (1 << 6)

#define PMP_NAPOT 0x18
#define PMP_R     0x01
#define PMP_W     0x02
#define PMP_X     0x04

#define TESTNUM gp

#define RVTEST_RV32U                                                                                         \
    .macro init;                                                                                             \
    .endm
#define RVTEST_RV64U RVTEST_RV32U
#define RVTEST_RV32M                                                                                         \
    .macro init;                                                                                             \
    .endm
#define RVTEST_RV64M RVTEST_RV32M
#define RVTEST_RV32S RVTEST_RV32M
#define RVTEST_RV64S RVTEST_RV32M

// The trap vector is replaced by a test that brings its own handler.
// clang-format off
#define RVTEST_CODE_BEGIN                                                                                    \
    .section .text.init;                                                                                     \
    .weak mtvec_handler;                                                                                     \
    .globl _start;                                                                                           \
_start:                                                                                                      \
    la t0, trap_vector;                                                                                      \
    csrw mtvec, t0;                                                                                          \
    csrwi mie, 0;                                                                                            \
    csrwi mepc, 0;                                                                                           \
    li TESTNUM, 0;                                                                                           \
    init;                                                                                                    \
    j mico_test_begin;                                                                                            \
    .align 2;                                                                                                \
trap_vector:                                                                                                 \
    la t5, mtvec_handler;                                                                                    \
    beqz t5, 1f;                                                                                             \
    jr t5;                                                                                                   \
1:  li a0, 'T';                                                                                              \
    call mico_print_char;                                                                                         \
    csrr a1, mcause;                                                                                         \
    call mico_print_hex;                                                                                          \
    csrr a1, mepc;                                                                                           \
    call mico_print_hex;                                                                                          \
    j mico_finish;                                                                                                \
mico_print_char:                                                                                                  \
    li t0, 0xF0001000;                                                                                       \
1:  lw t1, 4(t0);                                                                                            \
    andi t1, t1, 2;                                                                                          \
    beqz t1, 1b;                                                                                             \
    sw a0, 0(t0);                                                                                            \
    ret;                                                                                                     \
mico_print_hex:                                                                                                   \
    mv t4, ra;                                                                                               \
    li a0, ' ';                                                                                              \
    call mico_print_char;                                                                                         \
    li t2, 28;                                                                                               \
1:  srl a0, a1, t2;                                                                                          \
    andi a0, a0, 15;                                                                                         \
    addi a0, a0, '0';                                                                                        \
    li t3, '9' + 1;                                                                                          \
    bltu a0, t3, 2f;                                                                                         \
    addi a0, a0, 39;                                                                                         \
2:  call mico_print_char;                                                                                         \
    addi t2, t2, -4;                                                                                         \
    bgez t2, 1b;                                                                                             \
    jr t4;                                                                                                   \
mico_finish:                                                                                                      \
    li a0, 10;                                                                                               \
    call mico_print_char;                                                                                         \
1:  lw t1, 4(t0);                                                                                            \
    j 1b;                                                                                                    \
mico_test_begin:

#define RVTEST_CODE_END unimp

#define RVTEST_PASS                                                                                          \
    li a0, 'P';                                                                                              \
    call mico_print_char;                                                                                         \
    j mico_finish;

#define RVTEST_FAIL                                                                                          \
    li a0, 'F';                                                                                              \
    call mico_print_char;                                                                                         \
    mv a1, TESTNUM;                                                                                          \
    call mico_print_hex;                                                                                          \
    j mico_finish;
// clang-format on

#define EXTRA_DATA
#define RVTEST_DATA_BEGIN                                                                                    \
    EXTRA_DATA.align 4;                                                                                      \
    .global begin_signature;                                                                                 \
    begin_signature:
#define RVTEST_DATA_END                                                                                      \
    .align 4;                                                                                                \
    .global end_signature;                                                                                   \
    end_signature:

#endif
