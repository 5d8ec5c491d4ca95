"""cocotb tests of the SoC around its core: bridges, bus, memories, registers, interrupts. Run by test_soc.py."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer
from vexii_model import VexiiBus

from hil.harness.serial_line import SerialSender, receive_bytes
from hil.harness.stream_model import Op, Register, function_id
from hil.harness.wishbone import no_gap, random_gap

PERIOD_NS = 10
ROM, RAM, INFO, UART, TIMER, GPIO = 0x0, 0x4000_0000, 0xF000_0000, 0xF000_1000, 0xF000_2000, 0xF000_3000
PROFILE = 0xF000_4000
COUNTERS = (
    *("cycles", "engine_busy", "engine_stall", "cfu_ops", "cfu_wait", "ibus_transfers", "ibus_wait"),
    *("dbus_reads", "dbus_writes", "dbus_wait", "engine_reads", "engine_writes"),
)
RAM_BYTES, ALIAS = 64 * 1024, 0xC000_0000
RAM_LATENCY = 2
DATA, STATUS, DIVISOR, INTERRUPT = UART, UART + 4, UART + 8, UART + 12
RX_READY, TX_READY, OVERRUN, FRAMING, TX_IDLE = 1, 2, 4, 8, 16


async def start(dut, *, gap=no_gap):
    """Reset; the core's load/store bus, fetch bus and core."""
    core = dut.u_soc.u_socket.gen_vexiiriscv.u_cpu.u_core
    for name in ("valid_i", "we_i", "adr_i", "wdata_i", "byte_rx_valid_i", "byte_rx_data_i", "gpio_i"):
        getattr(dut, name).value = 0
    dut.uart_rx_i.value = 1
    for bus in ("Fetch", "Lsu"):
        getattr(core, f"{bus}CachelessPlugin_logic_bus_cmd_valid").value = 0
    core.CfuPlugin_logic_bus_cmd_valid.value = 0
    dut.rst_ni.value = 0
    cocotb.start_soon(Clock(dut.clk_i, PERIOD_NS, "ns").start())
    await ClockCycles(dut.clk_i, 3)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    await FallingEdge(dut.clk_i)
    lsu = VexiiBus(core, dut.clk_i, "LsuCachelessPlugin", ids=4, gap=gap)
    fetch = VexiiBus(core, dut.clk_i, "FetchCachelessPlugin", ids=2, gap=gap)
    return lsu, fetch, core


def rom_words():
    words = [int(word, 16) for word in Path(os.environ["BOOT_ROM"]).read_text().split()[1:]]
    return words + [0] * (4096 - len(words))


def merge(old, transaction):
    mask = sum(0xFF << 8 * i for i in range(4) if transaction.mask >> i & 1)
    return old & ~mask | transaction.bus_data & mask


@cocotb.test()
@cocotb.parametrize(stalled=[False, True])
async def bridges_answer_in_order(dut, stalled):
    """All sizes to RAM, ROM, I/O and nowhere, while fetches go on: ids, data and errors (seed 5)."""
    lsu, fetch, _ = await start(dut, gap=random_gap(5) if stalled else no_gap)
    rng = random.Random(5)
    ram, rom = {}, rom_words()
    expected = []
    for i in range(64):
        lsu.submit(RAM + 4 * i, write=True, data=i * 0x01010101)
        expected.append((None, False))
        ram[i] = i * 0x01010101
    for _ in range(1500):
        kind = rng.randrange(6)
        size = rng.randrange(3)
        offset = rng.randrange(256) & ~((1 << size) - 1)
        if kind <= 1:
            transaction = lsu.submit(rng.choice((RAM, ALIAS)) + offset, write=True, data=rng.getrandbits(32), size=size)
            ram[offset // 4] = merge(ram[offset // 4], transaction)
            expected.append((None, False))
        elif kind <= 3:
            lsu.submit(rng.choice((RAM, ALIAS)) + offset, size=size)
            expected.append((ram[offset // 4], False))
        elif kind == 4:
            lsu.submit(rng.choice((0x8000_0000, RAM + RAM_BYTES, ALIAS + RAM_BYTES, 0xF000_5000, 0x3FFF_FFFC)), io=True)
            expected.append((0, True))
        else:
            lsu.submit(ROM + offset, size=size)
            expected.append((rom[offset // 4], False))
    fetched = [rng.randrange(4096) if rng.random() < 0.7 else None for _ in range(1000)]
    for word in fetched:
        last = fetch.submit(ROM + 4 * word if word is not None else INFO)
    await lsu.submit(RAM).done.wait()
    await last.done.wait()
    for transaction, (data, error) in zip(lsu.log, expected, strict=False):
        assert transaction.error == error, hex(transaction.address)
        assert transaction.write or transaction.data == data, hex(transaction.address)
    for transaction, word in zip(fetch.log, fetched, strict=True):
        assert transaction.error == (word is None)
        assert word is None or transaction.data == rom[word]
    assert len(lsu.log) == len(expected) + 1


@cocotb.test()
async def accesses_take_the_cycles_promised(dut):
    """Back to back: I/O and ROM one cycle, RAM 1 + 2; answers one cycle later; load/store before fetch."""
    lsu, fetch, _ = await start(dut)
    for base, cycles in ((GPIO, 1), (ROM, 1), (RAM, 1 + RAM_LATENCY)):
        lsu.log.clear()
        for i in range(20):
            lsu.submit(base + 4 * (i % 2))
        await lsu.submit(base).done.wait()
        accepted = [transaction.accepted_at for transaction in lsu.log]
        assert {b - a for a, b in itertools.pairwise(accepted)} == {cycles}
        assert all(transaction.answered_at == transaction.accepted_at + 1 for transaction in lsu.log)
    loads = [lsu.submit(GPIO) for _ in range(10)]
    fetches = [fetch.submit(ROM) for _ in range(3)]
    await fetches[-1].done.wait()
    assert fetches[0].accepted_at >= loads[-1].accepted_at


@cocotb.test()
async def info_block_describes_the_soc(dut):
    lsu, _, _ = await start(dut)
    values = [await lsu.load(INFO + 4 * i) for i in range(8)]
    assert values == [0x4F43494D, 0x1234ABCD, 50_000_000, 2, RAM_BYTES, 2, RAM_LATENCY, RAM]
    assert await lsu.load(INFO + 0x28) == 4


@cocotb.test()
async def bus_errors_are_counted_and_cleared(dut):
    """Nowhere, a write to ROM, a byte to I/O: errors, counted with the first address, an interrupt until cleared."""
    lsu, fetch, core = await start(dut)
    pending = core.PrivilegedPlugin_logic_harts_0_int_m_external
    assert not pending.value
    assert await lsu.fails(0x2000_0010)
    assert await lsu.fails(ROM + 8, write=True, data=1)
    assert await lsu.fails(GPIO, write=True, data=1, size=0)
    assert await fetch.fails(UART)
    assert await fetch.fails(0x8000_0000)
    assert await lsu.load(INFO + 0x20) == 3, "fetches are not counted: they may be speculative"
    assert await lsu.load(INFO + 0x24) == 0x2000_0010
    assert await lsu.load(GPIO) == 0
    assert pending.value
    await lsu.store(INFO + 0x20, 0)
    assert await lsu.load(INFO + 0x20) == 0
    assert await lsu.load(INFO + 0x24) == 0
    assert not pending.value
    await lsu.store(INFO, 0)
    assert await lsu.load(INFO) == 0x4F43494D


@cocotb.test()
async def timer_counts_latches_and_interrupts(dut):
    lsu, _, core = await start(dut)
    first, second = lsu.submit(TIMER), lsu.submit(TIMER)
    await second.done.wait()
    assert second.data - first.data == second.accepted_at - first.accepted_at
    timer = dut.u_soc.u_timer
    await FallingEdge(dut.clk_i)
    timer.cycles_q.value = 0x5_FFFF_FFFE
    low = await lsu.load(TIMER)
    await ClockCycles(dut.clk_i, 20)
    assert await lsu.load(TIMER + 4) == (5 if low >= 0xFFFF_FFFE else 6)
    assert int(timer.cycles_q.value) >> 32 == 6
    await lsu.load(TIMER)
    assert await lsu.load(TIMER + 4) == 6
    assert int(core.PrivilegedPlugin_logic_rdtime.value) >> 32 == 6
    irq = core.PrivilegedPlugin_logic_harts_0_int_m_timer
    assert not irq.value
    assert await lsu.load(TIMER + 8) == 0xFFFFFFFF
    now = await lsu.load(TIMER)
    await lsu.store(TIMER + 8, now + 100)
    await lsu.store(TIMER + 12, 6)
    assert not irq.value
    while not irq.value:
        await FallingEdge(dut.clk_i)
    assert int(timer.cycles_q.value) == (6 << 32) + now + 101
    await lsu.store(TIMER + 12, 0xFFFFFFFF)
    await ClockCycles(dut.clk_i, 2)
    assert not irq.value
    software = core.PrivilegedPlugin_logic_harts_0_int_m_software
    assert not software.value
    await lsu.store(TIMER + 16, 1)
    assert software.value
    assert await lsu.load(TIMER + 16) == 1
    await lsu.store(TIMER + 16, 0)
    assert not software.value


@cocotb.test()
async def gpio_drives_and_samples(dut):
    lsu, _, _ = await start(dut)
    await lsu.store(GPIO, 0xDEADBEEF)
    assert (int(dut.gpio_o.value), await lsu.load(GPIO)) == (0xDEADBEEF, 0xDEADBEEF)
    dut.gpio_i.value = 0x600DCAFE
    await ClockCycles(dut.clk_i, 3)
    assert await lsu.load(GPIO + 4) == 0x600DCAFE
    await lsu.store(GPIO + 4, 0)
    assert await lsu.load(GPIO + 4) == 0x600DCAFE


@cocotb.test()
async def custom_function_reaches_the_simd_unit(dut):
    """1*5 + 2*6 + 3*7 - 4*8 = 6 through the CFU port, answered in the cycle of the command, held while not ready."""
    _, _, core = await start(dut)
    core.CfuPlugin_logic_bus_cmd_payload_function_id.value = 1 << 3 | 4
    core.CfuPlugin_logic_bus_cmd_payload_inputs_0.value = 0xFC030201
    core.CfuPlugin_logic_bus_cmd_payload_inputs_1.value = 0x08070605
    core.CfuPlugin_logic_bus_rsp_ready.value = 0
    core.CfuPlugin_logic_bus_cmd_valid.value = 1
    await Timer(1, "ns")
    assert core.CfuPlugin_logic_bus_rsp_valid.value
    assert not core.CfuPlugin_logic_bus_cmd_ready.value
    core.CfuPlugin_logic_bus_rsp_ready.value = 1
    await Timer(1, "ns")
    assert core.CfuPlugin_logic_bus_cmd_ready.value
    assert int(core.CfuPlugin_logic_bus_rsp_payload_outputs_0.value) == 6


async def custom(dut, core, op, rs1=0, rs2=0):
    """One instruction of the engine; its answer, and the cycles in which it was not accepted."""
    core.CfuPlugin_logic_bus_cmd_payload_function_id.value = function_id(op)
    core.CfuPlugin_logic_bus_cmd_payload_inputs_0.value = rs1
    core.CfuPlugin_logic_bus_cmd_payload_inputs_1.value = rs2
    core.CfuPlugin_logic_bus_rsp_ready.value = core.CfuPlugin_logic_bus_cmd_valid.value = 1
    waited = 0
    await Timer(1, "ns")
    while not core.CfuPlugin_logic_bus_cmd_ready.value:
        waited += 1
        await FallingEdge(dut.clk_i)
        await Timer(1, "ns")
    answer = int(core.CfuPlugin_logic_bus_rsp_payload_outputs_0.value)
    await FallingEdge(dut.clk_i)
    core.CfuPlugin_logic_bus_cmd_valid.value = 0
    return answer, waited


@cocotb.test()
async def profile_counts_what_happens(dut):
    """Known accesses and engine operations: every counter is exact, and stands still when disabled."""
    lsu, fetch, core = await start(dut)
    for i in range(16):
        await lsu.store(RAM + 4 * i, 0x01010101 * (i + 1))
    await lsu.store(PROFILE, 7)
    for i in range(10):
        assert await lsu.load(RAM + 4 * i) == 0x01010101 * (i + 1)
    for i in range(5):
        await lsu.store(RAM + 0x100 + 4 * i, i)
    last = [fetch.submit(ROM + 4 * i) for i in range(3)][-1]
    await last.done.wait()
    settings = {
        "k": 32,
        "src_base": RAM,
        "len": 256,
        "lane_step": 0,
        "width": 256,
        "height": 1,
        "dst_base": RAM + 0x200,
    }
    waited = 0
    for name, value in settings.items():
        waited += (await custom(dut, core, Op.SET, value, Register[name.upper()]))[1]
    for op, rs1 in ((Op.GATHER, 0), (Op.RUN, RAM + 32), (Op.WAIT, 0)):
        waited += (await custom(dut, core, op, rs1))[1]
    await lsu.store(PROFILE, 2)
    seen = {name: await lsu.load(PROFILE + 4 * i) for i, name in enumerate(COUNTERS, 1)}
    start_write, end_write = [t.accepted_at for t in lsu.log if t.write and t.address == PROFILE]
    assert seen["cycles"] == end_write - start_write - 1
    assert (seen["dbus_reads"], seen["dbus_writes"], seen["dbus_wait"]) == (10, 5, 15 * RAM_LATENCY)
    assert (seen["ibus_transfers"], seen["ibus_wait"]) == (3, 0)
    assert (seen["cfu_ops"], seen["cfu_wait"]) == (len(settings) + 3, waited)
    assert (seen["engine_reads"], seen["engine_writes"]) == (8 + 8, 1)
    assert await lsu.load(RAM + 0x200) == sum(4 * (i + 1) * (i + 9) for i in range(8))
    assert seen["engine_busy"] == (await custom(dut, core, Op.GET, 0, Register.BUSY))[0] > 16
    assert seen["engine_stall"] == (await custom(dut, core, Op.GET, 0, Register.STALL))[0]
    assert 0 < waited <= seen["engine_busy"]
    await lsu.store(PROFILE, 2)
    assert [await lsu.load(PROFILE + 4 * i) for i in range(1, 13)] == list(seen.values()), "disabled"
    await lsu.store(PROFILE, 7)
    assert [await lsu.load(PROFILE + 4 * i) for i in range(14)] == [1, *seen.values(), 0], (
        "a copy made before the clear"
    )
    await lsu.store(PROFILE, 3)
    assert await lsu.load(PROFILE + 4) < 200


@cocotb.test()
@cocotb.parametrize(divisor=[4, 16, 217])
async def uart_sends_and_receives(dut, divisor):
    """40 bytes each way at once, with jitter on the line in; nothing lost, nothing flagged (seed 9)."""
    lsu, _, _ = await start(dut)
    await lsu.store(DIVISOR, divisor)
    assert await lsu.load(DIVISOR) == divisor
    rng = random.Random(9)
    out, inward = [rng.randrange(256) for _ in range(40)], [rng.randrange(256) for _ in range(40)]
    listener = cocotb.start_soon(receive_bytes(dut.uart_tx_o, divisor * PERIOD_NS, len(out)))

    async def far_end():
        line = SerialSender(dut.uart_rx_i, divisor * PERIOD_NS, jitter=0.1 if divisor > 8 else 0, seed=9)
        for byte in inward:
            await line.send(byte)

    cocotb.start_soon(far_end())
    received, sent, full = [], 0, 0
    while len(received) < len(inward) or sent < len(out):
        status = await lsu.load(STATUS)
        assert not status & (OVERRUN | FRAMING)
        if status & RX_READY:
            received.append(await lsu.load(DATA))
        full += not status & TX_READY
        if status & TX_READY and sent < len(out):
            await lsu.store(DATA, out[sent])
            sent += 1
    assert received == inward
    assert await listener == out
    assert full, "40 bytes must fill a FIFO of 16"
    await ClockCycles(dut.clk_i, divisor)
    assert await lsu.load(STATUS) == TX_READY | TX_IDLE
    assert await lsu.load(DATA) == 0


@cocotb.test()
async def uart_flags_overrun_and_framing(dut):
    """The 17th unread byte is lost and flagged; a low stop bit is flagged; both stay until their own bit is written."""
    lsu, _, _ = await start(dut)
    await lsu.store(DIVISOR, 2)
    assert await lsu.load(DIVISOR) == 4, "the smallest divisor"
    await lsu.store(DIVISOR, 8)
    line = SerialSender(dut.uart_rx_i, 8 * PERIOD_NS)
    for byte in range(16):
        await line.send(byte)
    await ClockCycles(dut.clk_i, 16)
    assert await lsu.load(STATUS) == RX_READY | TX_READY | TX_IDLE
    await line.send(99)
    await line.send(98, stop=0)
    await ClockCycles(dut.clk_i, 16)
    assert await lsu.load(STATUS) == RX_READY | TX_READY | TX_IDLE | OVERRUN | FRAMING
    await lsu.store(STATUS, OVERRUN)
    assert await lsu.load(STATUS) == RX_READY | TX_READY | TX_IDLE | FRAMING
    await lsu.store(STATUS, FRAMING)
    assert [await lsu.load(DATA) for _ in range(17)] == [*range(16), 0]
    assert await lsu.load(STATUS) == TX_READY | TX_IDLE


@cocotb.test()
async def uart_interrupts_while_bytes_wait(dut):
    lsu, _, core = await start(dut)
    irq = core.PrivilegedPlugin_logic_harts_0_int_m_external
    await lsu.store(DIVISOR, 8)
    await lsu.store(INTERRUPT, 1)
    assert not irq.value
    await SerialSender(dut.uart_rx_i, 8 * PERIOD_NS).send(0x42)
    await ClockCycles(dut.clk_i, 8)
    assert irq.value
    assert await lsu.load(DATA) == 0x42
    assert not irq.value


@cocotb.test()
async def uart_drops_what_it_is_not_ready_for(dut):
    """One byte in the shifter and 16 in the FIFO are sent; a byte written when TX is full is not."""
    lsu, _, _ = await start(dut)
    await lsu.store(DIVISOR, 8)
    listener = cocotb.start_soon(receive_bytes(dut.uart_tx_o, 8 * PERIOD_NS, 18))
    for byte in range(17):
        await lsu.store(DATA, byte)
    assert not await lsu.load(STATUS) & TX_READY
    await lsu.store(DATA, 0xEE)
    while not await lsu.load(STATUS) & TX_IDLE:
        pass
    await lsu.store(DATA, 0x55)
    assert await listener == [*range(17), 0x55]


@cocotb.test()
async def byte_mode_carries_what_the_lines_carry(dut):
    """The same echo program on both UARTs, fed the same 60 bytes: the same comes out (seed 13)."""
    lsu, _, _ = await start(dut)
    rng = random.Random(13)
    inward = [rng.randrange(256) for _ in range(60)]

    async def echo(load, store):
        for _ in inward:
            while not await load(STATUS) & RX_READY:
                pass
            byte = await load(DATA)
            while not await load(STATUS) & TX_READY:
                pass
            await store(DATA, byte ^ 0x5A)

    await lsu.store(DIVISOR, 8)
    listener = cocotb.start_soon(receive_bytes(dut.uart_tx_o, 8 * PERIOD_NS, len(inward)))

    async def far_end():
        line = SerialSender(dut.uart_rx_i, 8 * PERIOD_NS)
        for byte in inward:
            await line.send(byte)

    cocotb.start_soon(far_end())
    await echo(lsu.load, lsu.store)
    by_lines = await listener

    queue, by_bytes = list(inward), []

    async def register(address, data=None):
        """One access to the byte-mode UART, with the other end of its byte port played as a simulator does."""
        dut.valid_i.value, dut.we_i.value = 1, int(data is not None)
        dut.adr_i.value, dut.wdata_i.value = (address & 0xFFF) >> 2, data or 0
        dut.byte_rx_valid_i.value, dut.byte_rx_data_i.value = int(bool(queue)), queue[0] if queue else 0
        await Timer(1, "ns")
        value = int(dut.rdata_o.value)
        if dut.byte_tx_valid_o.value:
            by_bytes.append(int(dut.byte_tx_data_o.value))
        if dut.byte_rx_take_o.value:
            queue.pop(0)
        await FallingEdge(dut.clk_i)
        dut.valid_i.value = 0
        return value

    await FallingEdge(dut.clk_i)
    await echo(register, register)
    assert by_lines == by_bytes == [byte ^ 0x5A for byte in inward]
    assert await register(STATUS) == TX_READY | TX_IDLE
