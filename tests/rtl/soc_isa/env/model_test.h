// Environment of this SoC for riscv-arch-test (branch old-framework-2.x): machine mode, everything in RAM; at
// the end the signature goes over the UART, a word in eight hex digits a line, then a line "end".
#ifndef MICO_MODEL_TEST_H
#define MICO_MODEL_TEST_H

#define RVMODEL_BOOT
#define RVMODEL_IO_INIT
#define RVMODEL_IO_WRITE_STR(_R, _STR)
#define RVMODEL_IO_CHECK()
#define RVMODEL_IO_ASSERT_GPR_EQ(_S, _R, _I)
#define RVMODEL_IO_ASSERT_SFPR_EQ(_F, _R, _I)
#define RVMODEL_IO_ASSERT_DFPR_EQ(_D, _R, _I)
#define RVMODEL_SET_MSW_INT
#define RVMODEL_CLEAR_MSW_INT
#define RVMODEL_CLEAR_MTIMER_INT
#define RVMODEL_CLEAR_MEXT_INT

// clang-format off
#define RVMODEL_HALT                                                                                         \
    la a1, begin_signature;                                                                                  \
    la a2, end_signature;                                                                                    \
    li a3, 0xF0001000;                                                                                       \
    j 8f;                                                                                                    \
1:  lw a4, 0(a1);                                                                                            \
    addi a1, a1, 4;                                                                                          \
    li a5, 28;                                                                                               \
2:  srl a6, a4, a5;                                                                                          \
    andi a6, a6, 15;                                                                                         \
    addi a6, a6, '0';                                                                                        \
    li a7, '9' + 1;                                                                                          \
    bltu a6, a7, 3f;                                                                                         \
    addi a6, a6, 39;                                                                                         \
3:  sw a6, 0(a3);                                                                                            \
    addi a5, a5, -4;                                                                                         \
    bgez a5, 2b;                                                                                             \
    li a6, 10;                                                                                               \
    sw a6, 0(a3);                                                                                            \
8:  bltu a1, a2, 1b;                                                                                         \
    li a6, 'e';                                                                                              \
    sw a6, 0(a3);                                                                                            \
    li a6, 'n';                                                                                              \
    sw a6, 0(a3);                                                                                            \
    li a6, 'd';                                                                                              \
    sw a6, 0(a3);                                                                                            \
    li a6, 10;                                                                                               \
    sw a6, 0(a3);                                                                                            \
9:  lw a6, 4(a3);                                                                                            \
    j 9b;

#define RVMODEL_DATA_BEGIN                                                                                   \
    .align 4;                                                                                                \
    .global begin_signature;                                                                                 \
begin_signature:
#define RVMODEL_DATA_END                                                                                     \
    .align 4;                                                                                                \
    .global end_signature;                                                                                   \
end_signature:
// clang-format on

#endif
