# Reset vector of the boot ROM. No .data and no .bss: everything that changes lives on a stack at the top of the RAM.

    .section .text.start
    .globl _start
_start:
    csrw mie, zero
    la t0, trap
    csrw mtvec, t0
    li t0, 0xF0000000           # info block
    lw t1, 0x10(t0)             # RAM_BYTES
    lw t2, 0x1C(t0)             # RAM_BASE
    add sp, t1, t2
    andi sp, sp, -16
    call boot_main              # returns the entry of the image that it loaded
    fence.i                     # the image was written as data
    jr a0

    .balign 4
trap:
    csrr a0, mcause
    csrr a1, mepc
    call boot_trap
    j _start
