"""cocotb: the boot ROM on the whole SoC, its console on the serial lines bit by bit. Run by test_boot_lines.py."""

from __future__ import annotations

import os
import struct
import zlib

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout

from hil.harness.serial_line import SerialSender, receive_bytes
from hil.link.frame import Frame, FrameReader, FrameType

PERIOD_NS = 10
CLOCK_HZ = int(os.environ.get("CLOCK_HZ", "1152000"))
RAM_BASE = 0x4000_0000
GREETING = b"mico-boot 1\r\n"
# lui a0, 0xF0001; li a1, '!'; sw a1, 0(a0); j .
PROGRAM = struct.pack("<4I", 0xF0001537, 0x02100593, 0x00B52023, 0x0000006F)


class Host:
    """The other end of the lines, at a rate of its own."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.set_baud(115_200)

    def set_baud(self, baud: int) -> None:
        self.bit_ns = CLOCK_HZ // baud * PERIOD_NS
        self.sender = SerialSender(self.dut.uart_rx_i, self.bit_ns)

    async def start(self) -> None:
        self.dut.uart_rx_i.value = 1
        self.dut.gpio_i.value = 0
        self.dut.byte_rx_valid_i.value = 0
        self.dut.rst_ni.value = 0
        cocotb.start_soon(Clock(self.dut.clk_i, PERIOD_NS, "ns").start())
        await ClockCycles(self.dut.clk_i, 4)
        self.dut.rst_ni.value = 1
        assert bytes(await receive_bytes(self.dut.uart_tx_o, self.bit_ns, len(GREETING))) == GREETING

    async def exchange(self, frame: Frame, answer_payload: int) -> Frame:
        """Send *frame*; the answer, whose payload has so many bytes."""
        listener = cocotb.start_soon(receive_bytes(self.dut.uart_tx_o, self.bit_ns, 12 + answer_payload))
        for byte in frame.encode():
            await self.sender.send(byte)
        (answer,) = FrameReader().feed(bytes(await with_timeout(listener, 20, "ms")))
        return answer

    async def hello(self, sequence: int) -> None:
        answer = await self.exchange(Frame(FrameType.HELLO, sequence), 16)
        assert (answer.type, answer.sequence) == (FrameType.ACK, sequence)

    async def propose(self, sequence: int, baud: int) -> int:
        answer = await self.exchange(Frame(FrameType.BAUD, sequence, 0, struct.pack("<I", baud)), 4)
        assert (answer.type, answer.sequence) == (FrameType.ACK, sequence)
        await ClockCycles(self.dut.clk_i, 1000)  # a host takes its time, and the device that of the last stop bit
        return int.from_bytes(answer.payload, "little")


@cocotb.test()
async def an_image_goes_at_a_rate_that_was_agreed_upon(dut):
    """Greeting and END at 115,200 baud, the data at 57,600; a rate that the clock cannot do is refused."""
    host = Host(dut)
    await host.start()
    await host.hello(0)
    assert await host.propose(5, 1_000_000) == 0
    assert await host.propose(10, 0) == 0
    assert await host.propose(15, 57_600) == 57_600
    host.set_baud(57_600)
    await host.hello(50)
    answer = await host.exchange(Frame(FrameType.DATA, 51, RAM_BASE, PROGRAM), 0)
    assert (answer.type, answer.sequence) == (FrameType.ACK, 51)
    assert await host.propose(20, 115_200) == 115_200
    host.set_baud(115_200)
    end = struct.pack("<4I", RAM_BASE, len(PROGRAM), zlib.crc32(PROGRAM), RAM_BASE)
    listener = cocotb.start_soon(receive_bytes(dut.uart_tx_o, host.bit_ns, 13))
    for byte in Frame(FrameType.END, 52, 0, end).encode():
        await host.sender.send(byte)
    said = bytes(await with_timeout(listener, 20, "ms"))
    (answer,) = FrameReader().feed(said[:12])
    assert (answer.type, answer.sequence) == (FrameType.ACK, 52)
    assert said[12:] == b"!"


@cocotb.test()
async def a_device_that_nobody_speaks_to_goes_back_to_115200_baud(dut):
    """After a second without a frame at the new rate, not before."""
    host = Host(dut)
    await host.start()
    await host.hello(0)
    assert await host.propose(5, 57_600) == 57_600
    await ClockCycles(dut.clk_i, CLOCK_HZ * 11 // 10)
    await host.hello(60)
