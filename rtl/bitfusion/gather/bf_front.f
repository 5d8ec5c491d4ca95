// Sources of bf_front in compile order, relative to this file; bf_pkg.sv and array/bf_loop.sv come before.
bf_gather_pkg.sv
../buffers/bf_ibuf.sv
bf_rotate.sv
bf_align.sv
bf_pixels.sv
bf_segments.sv
bf_pieces.sv
bf_packer.sv
bf_patch_fifo.sv
bf_front.sv
