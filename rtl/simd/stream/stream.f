// Sources of stream_engine in compile order, relative to this file: verilator -F rtl/simd/stream/stream.f
../../common/clock_gate.sv
stream_pkg.sv
stream_regs.sv
stream_port.sv
stream_gather.sv
stream_dot.sv
stream_lane.sv
stream_run.sv
stream_requant.sv
stream_pack.sv
stream_pool.sv
stream_engine.sv
