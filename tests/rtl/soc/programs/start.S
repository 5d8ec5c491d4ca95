# Start-up of test programs: stack, custom instructions on, trap vector, main, then stop.
    .section .start
    .globl _start
_start:
    lui   sp, %hi(stack_top)
    addi  sp, sp, %lo(stack_top)
    la    t0, trap_entry
    csrw  mtvec, t0
    li    t0, 0x80000001          # bit 31: custom instructions; bit 0: the external interrupt
    csrw  0xBC0, t0
    call  main
1:  j     1b

    .align 2
trap_entry:
    addi  sp, sp, -80
    sw    ra, 0(sp)
    sw    t0, 4(sp)
    sw    t1, 8(sp)
    sw    t2, 12(sp)
    sw    a0, 16(sp)
    sw    a1, 20(sp)
    sw    a2, 24(sp)
    sw    a3, 28(sp)
    sw    a4, 32(sp)
    sw    a5, 36(sp)
    sw    a6, 40(sp)
    sw    a7, 44(sp)
    sw    t3, 48(sp)
    sw    t4, 52(sp)
    sw    t5, 56(sp)
    sw    t6, 60(sp)
    csrr  a0, mcause
    csrr  a1, mepc
    call  on_trap
    lw    ra, 0(sp)
    lw    t0, 4(sp)
    lw    t1, 8(sp)
    lw    t2, 12(sp)
    lw    a0, 16(sp)
    lw    a1, 20(sp)
    lw    a2, 24(sp)
    lw    a3, 28(sp)
    lw    a4, 32(sp)
    lw    a5, 36(sp)
    lw    a6, 40(sp)
    lw    a7, 44(sp)
    lw    t3, 48(sp)
    lw    t4, 52(sp)
    lw    t5, 56(sp)
    lw    t6, 60(sp)
    addi  sp, sp, 80
    mret
