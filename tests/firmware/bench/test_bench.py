"""The bench firmware on the simulated SoC: its commands, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hil.bench_case import BenchFirmware, Case, build_bench, random_words
from hil.layer_models import LayerShape, layer_case
from hil.link.console import BenchResult, Console
from hil.targets.soc_sim import SocSim
from mico.errors import ProtocolError
from mico.quant.scheme import LayerBits

RAM_END = 0x4040_0000


@pytest.fixture(scope="module")
def soc() -> Iterator[SocSim]:
    with SocSim(timeout_s=60.0) as target:
        yield target


@pytest.fixture
def bench(soc: SocSim) -> BenchFirmware:
    """Freshly flashed: no case is there."""
    firmware = build_bench(2)
    soc.flash(firmware.program)
    return firmware


def run(soc: SocSim, firmware: BenchFirmware, case: Case, laps: int = 1) -> tuple[BenchResult, dict[str, int]]:
    loaded, expected = case.link(firmware, RAM_END)

    def exchange(console: Console) -> BenchResult:
        console.receive(loaded.image, firmware.case_base)
        return console.bench(loaded.address, laps, 120.0)

    return soc.talk(exchange), expected


def refusal(soc: SocSim, firmware: BenchFirmware, command: str) -> str:
    with pytest.raises(ProtocolError) as caught:
        soc.talk(lambda console: console.command(command))
    soc.flash(firmware.program)
    return str(caught.value)


def test_a_case_is_checked_and_laps_are_equal(soc: SocSim, bench: BenchFirmware):
    case = layer_case(LayerShape("conv", (9, 7, 3), 5, kernel=3, padding=1), LayerBits(2, 4), seed=3)
    result, expected = run(soc, bench, case, laps=3)
    assert result.crcs == expected
    assert len(result.laps) == 3
    assert len(set(result.laps)) == 1
    assert [name for name, _ in result.layers] == ["a", "layer", "out"]
    assert 0 <= result.laps[0] - sum(cycles for _, cycles in result.layers) < 200


def test_another_input_gives_another_checksum(soc: SocSim, bench: BenchFirmware):
    """The checksum is of what the target computed, not of what it was sent."""
    shape, bits = LayerShape("conv", (6, 6, 4), 4, kernel=3), LayerBits(8, 8)
    case = layer_case(shape, bits, seed=1)
    other = Case(case.model, case.x[:, :, ::-1].copy(), case.filled)
    first, expected = run(soc, bench, case)
    second, expected_second = run(soc, bench, other)
    assert first.crcs == expected
    assert second.crcs == expected_second
    assert first.crcs["layer"] != second.crcs["layer"]
    assert first.layers == second.layers  # cycles do not depend on data


def test_counters_surround_every_layer(soc: SocSim, bench: BenchFirmware):
    case = layer_case(LayerShape("conv", (12, 12, 8), 8, kernel=3), LayerBits(8, 8))
    result, _ = run(soc, bench, case)
    assert [layer.name for layer in result.counts] == [name for name, _ in result.layers]
    for (_, cycles), layer in zip(result.layers, result.counts, strict=True):
        assert abs(layer.counts["cycles"] - cycles) < 100
        assert layer.counts["engine-stall"] <= layer.counts["engine-busy"] <= layer.counts["cycles"]
    conv = result.counts[0].counts
    weight_words = 8 * (3 + 9 * 8 // 4)  # headers and weights, once for every four of the 100 pixels
    assert conv["engine-reads"] >= 25 * weight_words
    assert conv["cfu-ops"] > 50


@pytest.mark.usefixtures("bench")
def test_the_empty_layer_times_what_a_lap_costs(soc: SocSim):
    soc.talk(lambda console: console.load(bytes(4)))
    soc.talk(lambda console: console.infer(2, 1))
    layers = soc.talk(lambda console: console.layers())
    assert [name for name, _ in layers.layers] == ["nothing"]
    assert 0 < layers.total < 500


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("receive", "e-[receive N"),
        ("receive 0", "e-[receive N"),
        ("receive 1000001", "e-[receive N"),
        ("bench", "e-[bench ADDRESS LAPS"),
        ("bench 40000000 1", "e-[bench ADDRESS LAPS"),  # the firmware itself
        ("bench BASE 0", "e-[bench ADDRESS LAPS"),
        ("bench BASE 257", "e-[bench ADDRESS LAPS"),
        ("bench 403ffffc 1", "e-[bench ADDRESS LAPS"),  # its end lies outside the RAM
        ("bench zz 1", "e-[bench ADDRESS LAPS"),
        ("bench BASE 1", "e-[No case there]"),
    ],
)
def test_what_is_refused(soc: SocSim, bench: BenchFirmware, command: str, answer: str):
    # BASE behind where a case would be, so that no case of an earlier test is found there
    text = command.replace("BASE", f"{bench.case_base + 0x200000:08x}")
    assert answer in refusal(soc, bench, text)


@pytest.mark.usefixtures("bench")
def test_help_names_the_commands(soc: SocSim):
    assert any("bench ADDRESS LAPS" in line for line in soc.talk(lambda console: console.command("help")))


def test_random_words_are_spread_and_counted():
    words = random_words(1000, 4096)
    assert np.array_equal(random_words(1003, 5), words[3:8])
    ones = np.unpackbits(words.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 0.01
    assert len(np.unique(words)) == len(words)
