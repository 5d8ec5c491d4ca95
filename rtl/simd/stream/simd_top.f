// Sources of simd_top in compile order, relative to this file: verilator -F rtl/simd/stream/simd_top.f
-f ../simd.f
-f stream.f
simd_top.sv
