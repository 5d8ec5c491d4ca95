# Start-up of a test program (copies it into RAM, clears bss, enables custom instructions and the external interrupt), and
# what all programs call: emit, dump, done. tp belongs to the trap handler of the program.
    .section .start, "ax"
    .globl _start
_start:
    la    t0, rom_image
    la    t1, ram_begin
    la    t2, ram_end
1:  lw    t3, 0(t0)
    sw    t3, 0(t1)
    addi  t0, t0, 4
    addi  t1, t1, 4
    bltu  t1, t2, 1b
    la    t2, bss_end
2:  bgeu  t1, t2, 3f
    sw    zero, 0(t1)
    addi  t1, t1, 4
    j     2b
3:  fence.i
    li    t0, 0x80000001
    csrw  0xBC0, t0
    la    t0, main
    jr    t0

    .text
# emit: sends a0, lowest byte first; changes t0, t1, t2
    .globl emit
emit:
    li    t0, 0xF0001000
    li    t1, 4
1:  lw    t2, 4(t0)
    andi  t2, t2, 2
    beqz  t2, 1b
    sw    a0, 0(t0)
    srli  a0, a0, 8
    addi  t1, t1, -1
    bnez  t1, 1b
    ret

# dump: sends the words from a1 up to a2; changes a0, a1, t0 .. t3
    .globl dump
dump:
    mv    t3, ra
1:  bgeu  a1, a2, 2f
    lw    a0, 0(a1)
    call  emit
    addi  a1, a1, 4
    j     1b
2:  jr    t3

# done: the program is over; the simulator sleeps while the core looks for a byte that never comes
    .globl done
done:
    li    t0, 0xF0001000
1:  lw    t1, 4(t0)
    j     1b
