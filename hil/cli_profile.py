"""``mico profile``: cycles of a layer at any shape and bits, or of every layer of a network, and where they go."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from hil.breakdown import Breakdown, flame
from mico.errors import UsageError

if TYPE_CHECKING:  # it brings torch, which takes seconds to import
    from hil.layer_models import LayerShape

__all__ = ["RAM_BYTES", "parse_input", "profile"]

RAM_BYTES = 32 * 1024 * 1024
"""Of the SoC that is simulated: a linear layer 4096x4096 at 8 bits takes 16 MiB."""

_STORE = Path(__file__).resolve().parents[1] / "build" / "mico.sqlite"


def parse_input(kind: str, text: str) -> tuple[int, int, int]:
    """``HxWxC``; of a linear layer ``K``, of a matmul ``MxK``.

    Raises
    ------
    UsageError
        Not such a text.
    """
    parts = text.lower().split("x")
    numbers = [int(part) for part in parts] if all(part.isdecimal() for part in parts) else []
    match kind, numbers:
        case "linear", [columns] | [1, columns]:
            return 1, 1, columns
        case "matmul", [rows, columns]:
            return rows, 1, columns
        case "linear" | "matmul", _:
            pass
        case _, [height, width, channels]:
            return height, width, channels
    usual = {"linear": "K, for instance 4096", "matmul": "MxK, for instance 128x128"}
    raise UsageError(
        f"{text!r} is no input of {kind}", where="--input", cure=usual.get(kind, "HxWxC, for instance 28x28x1")
    )


def profile(
    kind: Annotated[str, typer.Argument(help="conv, linear, matmul, max_pool, avg_pool, global_pool, add; or model.")],
    network: Annotated[str, typer.Argument(help="Of model: name in the zoo, or path.py:Class.")] = "lenet5",
    shape: Annotated[str, typer.Option("--input", help="HxWxC; of linear K, of matmul MxK.")] = "",
    out: Annotated[int, typer.Option(help="Output channels; of matmul N.")] = 0,
    kernel: Annotated[int, typer.Option(help="Of conv and pools: height and width.")] = 1,
    stride: Annotated[int, typer.Option()] = 1,
    padding: Annotated[int, typer.Option()] = 0,
    groups: Annotated[int, typer.Option()] = 1,
    bits: Annotated[str, typer.Option(help="AxW, activation x weight: 8x8,4x2; equal (four pairs); all (16).")] = "8x8",
    signed: Annotated[bool, typer.Option(help="Signed activations.")] = False,
    int32: Annotated[bool, typer.Option(help="The layer writes int32.")] = False,
    simd: Annotated[
        int | None,
        typer.Option(help="Kernels: 2 streaming engine, 1 dot products, 0 plain C; default: what the SoC has."),
    ] = None,
    lanes: Annotated[int, typer.Option(help="Of the streaming engine.")] = 4,
    ram_latency: Annotated[int, typer.Option(help="Wait states of the RAM.")] = 0,
    ram_mib: Annotated[int, typer.Option(help="RAM of the SoC in MiB.")] = RAM_BYTES >> 20,
    store: Annotated[str, typer.Option(help="SQLite file or database URL.")] = str(_STORE),
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Time a layer, or every layer of a network, on the simulated SoC: cycles, and what they are spent on."""
    from hil.layer_models import KINDS, LayerShape
    from hil.targets.soc_sim import SocSim

    if simd not in (None, 0, 1, 2):
        raise UsageError(f"no kernels {simd}", where="--simd", cure="0, 1 or 2")
    target = SocSim(ram_bytes=ram_mib << 20, ram_latency=ram_latency, lanes=lanes)
    simd = target.simd if simd is None else simd
    console = Console(width=None if sys.stdout.isatty() else 160)
    if kind == "model":
        _model(console, target, network, bits, simd, as_json)
        return
    if kind not in KINDS:
        raise UsageError(f"no such kind of layer: {kind!r}", cure=f"one of {', '.join(KINDS)}; or model")
    height, width, channels = parse_input(kind, shape)
    layer = LayerShape(kind, (height, width, channels), out, kernel, stride, padding, groups, signed, int32)
    _layer(console, target, layer, bits, simd, store, as_json)


def _layer(console: Console, target: Any, layer: LayerShape, bits: str, simd: int, store: str, as_json: bool) -> None:
    from hil.layer_models import parse_bits
    from hil.profile import Profile, Profiler
    from hil.store import Store
    from hil.targets.bench_target import BenchTarget

    pairs = parse_bits(bits)
    messages, profiles = Console(stderr=True), list[Profile]()
    with messages.status("building the simulator and the firmware") as status, BenchTarget(target, simd=simd) as bench:
        profiler = Profiler(bench, Store(store))
        for pair in pairs:
            status.update(f"{layer} {pair}")
            profiles.append(profiler.time(layer, pair))
    if as_json:
        _print_json([profile.to_json() for profile in profiles])
        return
    console.print(flame([(f"{p.pair}", p.cycles, p.breakdown) for p in profiles], title=str(layer), total=False))


def _model(console: Console, target: Any, network: str, bits: str, simd: int, as_json: bool) -> None:
    from hil.layer_models import parse_bits
    from hil.networks import load_network
    from hil.toolchain import build_program
    from mico.data import load
    from mico.quant.calibrate import calibrate
    from mico.quant.lower import lower
    from mico.quant.scheme import Scheme
    from mico.trace import trace

    data = load("auto")
    loaded = load_network(network, data)
    graph = trace(loaded.module, data.input_shape, loaded.name)
    calibration = calibrate(graph, data.calibration)
    results = []
    with target:
        for pair in parse_bits(bits):
            scheme = Scheme.uniform(graph.layer_names, pair.weight, pair.activation)
            program = build_program(lower(graph, scheme, calibration), simd=simd)
            target.flash(program)
            run = target.measure(data.test.images[:1], laps=1, warmup=0)
            counts = {name: Breakdown.of(values) for name, values in target.counts()}
            layers = [(layer.name, layer.cycles, counts.get(layer.name)) for layer in run.layers]
            results.append((f"{graph.name} {pair.activation}x{pair.weight}", run.cycles, layers))
    if as_json:
        _print_json([_model_json(*result) for result in results])
        return
    for title, _, layers in results:
        console.print(flame(layers, title=title))


def _model_json(title: str, cycles: int, layers: Sequence[tuple[str, int, Breakdown | None]]) -> dict[str, Any]:
    rows = [
        {"name": name, "cycles": own, "breakdown": None if parts is None else parts.to_json()}
        for name, own, parts in layers
    ]
    return {"model": title, "cycles": cycles, "layers": rows}


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2))
