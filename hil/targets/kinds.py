"""Targets by the name of their kind, as the command line and lab files call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from hil.targets.base import Target
from mico.errors import UsageError

__all__ = ["KINDS", "make_from", "make_target"]

Options = Mapping[str, Any]


def _soc(_name: str, options: Options) -> Target:
    from hil.targets.soc_sim import SocSim

    return SocSim(**options)


def _bitfusion(_name: str, options: Options) -> Target:
    from hil.harness.bf_sim import Build, Memory
    from hil.targets.bitfusion import BitFusionSim
    from mico.codegen.bitfusion.machine import Machine

    rest = dict(options)
    machine = Machine(**{item.name: rest.pop(item.name) for item in fields(Machine) if item.name in rest})
    memory = Memory(**{item.name: rest.pop(item.name) for item in fields(Memory) if item.name in rest})
    build = Build[rest.pop("rtl", "functional").upper()]
    return BitFusionSim(machine=machine, memory=memory, build=build, **rest)


def _container(name: str, options: Options) -> Target:
    from hil.targets.bitfusion_container import BitFusionContainer, is_bitfusion
    from hil.targets.container import ContainerTarget

    kind = BitFusionContainer if is_bitfusion(options["image"]) else ContainerTarget
    return kind(name=name, **{"cpus": None, "memory": None, **options})


def _soc_server(_name: str, options: Options) -> Target:
    from hil.targets.soc_server import SocServer

    return SocServer(**options)


def _bitfusion_server(_name: str, options: Options) -> Target:
    from hil.harness.bf_sim import Memory
    from hil.targets.bitfusion_server import BitFusionServer

    rest = dict(options)
    memory = Memory(**{item.name: rest.pop(item.name) for item in fields(Memory) if item.name in rest})
    return BitFusionServer(memory=memory, **rest)


def _serial(name: str, options: Options) -> Target:
    from hil.targets.serial_board import SerialBoard

    return SerialBoard(name, **options)


def _tcp(name: str, options: Options) -> Target:
    from hil.targets.tcp_board import TcpBoard

    return TcpBoard(name, **options)


_MAKE: dict[str, Callable[[str, Options], Target]] = {
    "soc-sim": _soc,
    "bitfusion-sim": _bitfusion,
    "container": _container,
    "soc-server": _soc_server,
    "bitfusion-server": _bitfusion_server,
    "serial": _serial,
    "tcp": _tcp,
}
KINDS = ("soc-sim", "bitfusion-sim")
"""Kinds that need nothing said about them."""
_SHORT = {"soc": "soc-sim", "bitfusion": "bitfusion-sim"}


def make_target(kind: str) -> Target:
    """A target of *kind* (``soc-sim``, ``bitfusion-sim``, or ``soc`` and ``bitfusion`` for short), not yet open.

    Raises
    ------
    UsageError
        No such kind.
    """
    kind = _SHORT.get(kind, kind)
    if kind not in KINDS:
        raise UsageError(f"no kind of target {kind!r}", where="target", cure=f"one of {', '.join(KINDS)}")
    return make_from(kind, kind, {})


def make_from(kind: str, name: str, options: Options) -> Target:
    """The target *name* of a lab, not yet open; *options* as ``hil.lab_schema`` lists and has checked them.

    Raises
    ------
    UsageError
        Options that do not go together.
    """
    return _MAKE[kind](name, options)
