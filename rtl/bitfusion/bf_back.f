// Sources of bf_back in compile order, relative to this file; bf_pkg.sv and common/fifo.sv come before.
array/bf_back_pkg.sv
array/bf_loop.sv
array/bf_issue.sv
array/bf_operands.sv
array/bf_tree.sv
array/bf_columns.sv
array/bf_columns_functional.sv
buffers/bf_wbuf.sv
buffers/bf_pbuf.sv
buffers/bf_obuf.sv
post/bf_lane.sv
post/bf_pack.sv
post/bf_store.sv
bf_back.sv
