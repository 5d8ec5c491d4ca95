"""Targets by the name of their kind, as the command line and lab files call them."""

from __future__ import annotations

from collections.abc import Callable

from hil.targets.base import Target
from mico.errors import UsageError

__all__ = ["KINDS", "make_target"]


def _soc() -> Target:
    from hil.targets.soc_sim import SocSim

    return SocSim()


def _bitfusion() -> Target:
    from hil.targets.bitfusion import BitFusionSim

    return BitFusionSim()


KINDS: dict[str, Callable[[], Target]] = {"soc-sim": _soc, "bitfusion-sim": _bitfusion}
_SHORT = {"soc": "soc-sim", "bitfusion": "bitfusion-sim"}


def make_target(kind: str) -> Target:
    """A target of *kind* (``soc-sim``, ``bitfusion-sim``, or ``soc`` and ``bitfusion`` for short), not yet open.

    Raises
    ------
    UsageError
        No such kind.
    """
    make = KINDS.get(_SHORT.get(kind, kind))
    if make is None:
        raise UsageError(f"no kind of target {kind!r}", where="target", cure=f"one of {', '.join(KINDS)}")
    return make()
