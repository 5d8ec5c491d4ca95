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
@cocotb.parametrize(lane=[0, 1, 2], stalled=[False, True])
async def ram_ports_work_in_the_same_cycle(dut, lane, stalled):
    """Wishbone in the lower half while the other port works in the upper half, then each reads all (seed 200 + lane).

    Every request is granted at once and every read is answered exactly wait states + 1 cycles later.
    """
    await start(dut)
    latency = LATENCIES[lane]
    rng = random.Random(200 + lane)
    model = [rng.getrandbits(32) for _ in range(256)]
    master = WishboneMaster(dut, "ram_", lane=lane)
    gap = random_gap(12) if stalled else no_gap
    due: dict[int, int] = {}  # cycle -> word
    answers = 0

    async def port_access(cycle, adr, data=None, be=15):
        """One cycle of the port, *adr* None: without a request; what it answers in it is compared with what is due."""
        nonlocal answers
        dut.port_req_i.value = 0 if adr is None else 1 << lane
        dut.port_we_i.value, dut.port_be_i.value = int(data is not None), be
        dut.port_adr_i.value, dut.port_wdata_i.value = adr or 0, data or 0
        if adr is not None and data is None:
            due[cycle + latency + 1] = model[adr]
        elif adr is not None:
            model[adr] = merge(model[adr], data, be)
        await ReadOnly()
        assert int(dut.port_gnt_o.value) >> lane & 1
        assert (int(dut.port_rvalid_o.value) >> lane & 1) == (cycle in due), cycle
        if cycle in due:
            assert int(dut.port_rdata_o.value) >> 32 * lane & 0xFFFFFFFF == due.pop(cycle)
            answers += 1
        await FallingEdge(dut.clk_i)

    async def port(first, addresses, writes):
        for cycle, adr in enumerate(addresses, first):
            write = writes and rng.random() < 0.4
            idle = stalled and rng.random() < 0.3
            data, be = rng.getrandbits(32) if write else None, rng.randrange(16) if write else 15
            await port_access(cycle, None if idle else adr, data, be)
        for cycle in range(first + len(addresses), first + len(addresses) + latency + 2):
            await port_access(cycle, None)
        assert not due

    for adr in range(256):
        await port_access(-1000, adr, model[adr])
    beside = cocotb.start_soon(port(0, [128 + rng.randrange(128) for _ in range(600)], True))
    source = random.Random(300 + lane)
    for _ in range(100):
        adr, data = source.randrange(120), source.getrandbits(32)
        if source.random() < 0.5:
            await master.access(adr, data=data, gap=gap)
            model[adr] = data
        else:
            beats = await master.burst(adr, 8, gap=gap)
            assert [beat.data for beat in beats] == model[adr : adr + 8]
    await beside
    assert answers > 200
    assert [beat.data for beat in await master.burst(0, 256)] == model
    master.idle()
    await port(10_000, list(range(256)), False)


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
