// Sources of soc_top in compile order, relative to this file. The core's netlist comes on top of these.
-f ../common/common.f
-f ../simd/stream/simd_top.f
soc_pkg.sv
soc_rom.sv
soc_uart.sv
soc_timer.sv
soc_gpio.sv
soc_info.sv
soc_profile.sv
soc_bus.sv
cfu_register.sv
vexii_bus_bridge.sv
cpu_vexriscv.sv
cpu_vexiiriscv.sv
cpu_socket.sv
soc_top.sv
