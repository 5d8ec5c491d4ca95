# Entry of a program loaded into RAM: stack, bss, trap vector, SIMD unit on, then runtime_main.

    .section .text.start
    .globl _start
_start:
    csrw mie, zero
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, __stack_top
    la t0, trap
    csrw mtvec, t0

    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b

2:  li t0, 0xF0000000           # info block
    lw t1, 0x14(t0)             # SIMD_VERSION
    beqz t1, 3f
    li t2, 0x80000000           # custom function unit on: it traps as illegal otherwise
    csrs 0xBC0, t2
3:  call runtime_main
    j .

    .balign 4
trap:
    la sp, __stack_top
    csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    la t0, runtime_trap         # back to ordinary mode of the core, at runtime_trap: the console goes on from there
    csrw mepc, t0
    la ra, .
    mret
