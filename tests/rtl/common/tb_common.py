"""cocotb tests of rtl/common on common_bench: FIFO, serial lines, RAM, arbiter. Run by test_common.py."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, Timer

from hil.harness.serial_line import SerialSender, receive_bytes
from hil.harness.wishbone import WishboneMaster, no_gap, random_gap

PERIOD_NS = 10
LATENCIES = (0, 1, 3)


async def start(dut):
    """Clock, reset, everything idle; returns behind a falling edge."""
    for name in dir(dut):
        if name.endswith("_i") and name not in ("clk_i", "rst_ni"):
            getattr(dut, name).value = 0
    dut.rx_i.value = 1
    dut.divisor_i.value = 16
    dut.rst_ni.value = 0
    cocotb.start_soon(Clock(dut.clk_i, PERIOD_NS, "ns").start())
    await ClockCycles(dut.clk_i, 3)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    await FallingEdge(dut.clk_i)


@cocotb.test()
async def fifo_equals_a_queue(dut):
    """4000 random pushes and pops, full and empty ones included, against a list."""
    await start(dut)
    rng = random.Random(1)
    queue: list[int] = []
    seen_full = seen_empty = 0
    for i in range(4000):
        likely_push = 0.8 if (i // 200) % 2 == 0 else 0.2
        push, pop, data = rng.random() < likely_push, rng.random() < 1 - likely_push, rng.randrange(256)
        dut.fifo_push_i.value, dut.fifo_pop_i.value, dut.fifo_data_i.value = int(push), int(pop), data
        await ReadOnly()
        assert bool(dut.fifo_full_o.value) == (len(queue) == 16)
        assert bool(dut.fifo_valid_o.value) == (len(queue) > 0)
        if queue:
            assert int(dut.fifo_data_o.value) == queue[0]
        full = len(queue) == 16
        seen_full += push and full
        seen_empty += pop and not queue
        if pop and queue:
            queue.pop(0)
        if push and not full:
            queue.append(data)
        await FallingEdge(dut.clk_i)
    assert seen_full > 50
    assert seen_empty > 50


@cocotb.test()
@cocotb.parametrize(divisor=[4, 5, 16, 54, 434])
async def transmitter_sends_what_it_is_given(dut, divisor):
    """Back to back and with pauses: bytes on the line, sampled in the middle of their bits, are those accepted."""
    await start(dut)
    dut.divisor_i.value = divisor
    rng = random.Random(divisor)
    sent = [0x00, 0xFF, 0x55, 0xAA] + [rng.randrange(256) for _ in range(8)]
    receiver = cocotb.start_soon(receive_bytes(dut.tx_o, divisor * PERIOD_NS, len(sent)))
    for i, byte in enumerate(sent):
        dut.tx_valid_i.value, dut.tx_data_i.value = 1, byte
        while True:
            await ReadOnly()
            ready = bool(dut.tx_ready_o.value)
            await FallingEdge(dut.clk_i)
            if ready:
                break
        dut.tx_valid_i.value = 0
        if i % 4 == 3:
            await ClockCycles(dut.clk_i, rng.randrange(1, 15 * divisor))
            await FallingEdge(dut.clk_i)
    assert await receiver == sent


async def collect(dut, received, errors):
    while True:
        await ReadOnly()
        if dut.rx_valid_o.value:
            received.append(int(dut.rx_data_o.value))
        if dut.rx_framing_error_o.value:
            errors.append(cocotb.simtime.get_sim_time("ns"))
        await FallingEdge(dut.clk_i)


@cocotb.test()
@cocotb.parametrize(
    (
        ("divisor", "drift", "jitter"),
        [
            (4, 0, 0),
            (5, 0, 0),
            (8, 0.02, 0.05),
            (16, 0.03, 0.1),
            (16, -0.03, 0.1),
            (54, -0.035, 0.15),
            (434, 0.04, 0.1),
        ],
    )
)
async def receiver_tolerates_drift_and_jitter(dut, divisor, drift, jitter):
    """Bit times off by a constant part (drift), every edge by a random part (jitter); back to back and paused."""
    await start(dut)
    dut.divisor_i.value = divisor
    received: list[int] = []
    errors: list[float] = []
    cocotb.start_soon(collect(dut, received, errors))
    await ClockCycles(dut.clk_i, 8)
    rng = random.Random(7)
    sent = [0x00, 0xFF, 0x55, 0xAA] + [rng.randrange(256) for _ in range(20)]
    line = SerialSender(dut.rx_i, divisor * PERIOD_NS * (1 + drift), jitter=jitter, seed=3)
    for i, byte in enumerate(sent):
        await line.send(byte)
        if i % 5 == 4:
            await Timer(rng.randrange(1, 3 * divisor * PERIOD_NS), "ns")
    await ClockCycles(dut.clk_i, 2 * divisor)
    assert received == sent
    assert not errors


@cocotb.test()
async def receiver_drops_glitches_and_broken_stop_bits(dut):
    """A short low is no start bit; a low stop bit is one framing error and no byte; a break is one error, not many."""
    await start(dut)
    divisor = 16
    received: list[int] = []
    errors: list[float] = []
    cocotb.start_soon(collect(dut, received, errors))
    await ClockCycles(dut.clk_i, 8)
    line = SerialSender(dut.rx_i, divisor * PERIOD_NS)
    dut.rx_i.value = 0
    await Timer(5 * PERIOD_NS, "ns")
    dut.rx_i.value = 1
    await Timer(12 * divisor * PERIOD_NS, "ns")
    assert (received, len(errors)) == ([], 0)
    await line.send(0x3C, stop=0)
    await Timer(2 * divisor * PERIOD_NS, "ns")
    assert (received, len(errors)) == ([], 1)
    dut.rx_i.value = 0
    await Timer(40 * divisor * PERIOD_NS, "ns")
    dut.rx_i.value = 1
    await Timer(2 * divisor * PERIOD_NS, "ns")
    assert (received, len(errors)) == ([], 2)
    await line.send(0xC3)
    await ClockCycles(dut.clk_i, 2 * divisor)
    assert (received, len(errors)) == ([0xC3], 2)


def merge(old, new, sel):
    mask = sum(0xFF << 8 * i for i in range(4) if sel >> i & 1)
    return old & ~mask | new & mask


@cocotb.test()
@cocotb.parametrize(lane=[0, 1, 2], stalled=[False, True])
async def ram_holds_what_is_written(dut, lane, stalled):
    """Random single accesses with byte masks and bursts against a list; wait states are exactly those promised."""
    await start(dut)
    latency = LATENCIES[lane]
    master = WishboneMaster(dut, "ram_", lane=lane)
    gap = random_gap(11) if stalled else no_gap
    rng = random.Random(100 + lane)
    model = [rng.getrandbits(32) for _ in range(256)]
    for base in range(0, 256, 8):
        await master.burst(base, 8, data=model[base : base + 8], gap=gap)
    for _ in range(400):
        adr = rng.randrange(256)
        kind = rng.randrange(4)
        if kind == 0:
            count = rng.randrange(1, 9)
            adr = min(adr, 256 - count)
            beats = await master.burst(adr, count, gap=gap)
            assert [beat.data for beat in beats] == model[adr : adr + count]
            assert [beat.cycles for beat in beats] == [1 + latency] + [1] * (count - 1)
        elif kind == 1:
            count = rng.randrange(1, 9)
            adr = min(adr, 256 - count)
            data = [rng.getrandbits(32) for _ in range(count)]
            beats = await master.burst(adr, count, data=data, gap=gap)
            model[adr : adr + count] = data
            assert [beat.cycles for beat in beats] == [1 + latency] + [1] * (count - 1)
        elif kind == 2:
            data, sel = rng.getrandbits(32), rng.randrange(16)
            beat = await master.access(adr, data=data, sel=sel, gap=gap, last=rng.random() < 0.5)
            model[adr] = merge(model[adr], data, sel)
            assert beat.cycles == 1 + latency
        else:
            beat = await master.access(adr, gap=gap, last=rng.random() < 0.5)
            assert beat.data == model[adr]
            assert beat.cycles == 1 + latency
    master.idle()


@cocotb.test()
@cocotb.parametrize(stalled=[False, True])
async def arbiter_keeps_two_masters_apart(dut, stalled):
    """Two masters in halves of a RAM: each reads its own data, errors reach their cause, bursts stay whole."""
    await start(dut)
    broken = []

    async def watch_bursts():
        held = None
        while True:
            await ReadOnly()
            owner, burst = int(dut.owner_o.value), int(dut.shared_cti_o.value) == 0b010
            taken = bool(dut.shared_cyc_o.value)
            if held is not None and taken and owner != held:
                broken.append(cocotb.simtime.get_sim_time("ns"))
            held = owner if taken and burst else None
            await FallingEdge(dut.clk_i)

    async def work(prefix, half, seed):
        master = WishboneMaster(dut, prefix, rdata="shared_rdata_o")
        gap = random_gap(seed) if stalled else no_gap
        rng = random.Random(seed)
        model = [rng.getrandbits(32) for _ in range(128)]
        for base in range(0, 128, 8):
            await master.burst(128 * half + base, 8, data=model[base : base + 8], gap=gap)
        errors = 0
        for _ in range(200):
            adr = rng.randrange(120)
            kind = rng.randrange(4)
            if kind == 0:
                beats = await master.burst(128 * half + adr, 8, gap=gap)
                assert [beat.data for beat in beats] == model[adr : adr + 8]
                assert not any(beat.error for beat in beats)
            elif kind == 1:
                data, sel = rng.getrandbits(32), rng.randrange(16)
                await master.access(128 * half + adr, data=data, sel=sel, gap=gap)
                model[adr] = merge(model[adr], data, sel)
            elif kind == 2:
                beat = await master.access(128 * half + adr, gap=gap)
                assert (beat.data, beat.error) == (model[adr], False)
            else:
                errors += (await master.access(0x100000 + adr, gap=gap)).error
                assert errors
            for _ in range(rng.randrange(3)):
                await FallingEdge(dut.clk_i)
        return errors

    cocotb.start_soon(watch_bursts())
    first = cocotb.start_soon(work("m0_", 0, 21))
    second = cocotb.start_soon(work("m1_", 1, 22))
    assert await first > 20
    assert await second > 20
    assert not broken
