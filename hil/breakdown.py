"""Where the cycles of a layer go, by the SoC's profiling counters (rtl/soc/README.md), and a table that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

__all__ = ["Breakdown", "flame"]


@dataclass(frozen=True)
class Breakdown:
    """Cycles of a layer by what core and SIMD unit did.

    The core's time is ``core_waits + bus + scalar``. The unit works beside it: it is busy ``unit_busy`` cycles, waits
    for the memory ``unit_waits``, and idle the rest.

    Attributes
    ----------
    cycles
        Of the layer, while it was counted: a few more than when it was timed.
    unit_busy, unit_waits
        The unit computes; it waits for a memory access. Of version 1, which answers at once: its operations.
    core_waits
        The core offers a custom instruction that the unit does not take yet.
    bus
        Words of cache refills and loads, and waits for the bus.
    scalar
        The rest: the core's own instructions, their stalls and branches, custom instructions that are taken at once.
    """

    cycles: int
    unit_busy: int
    unit_waits: int
    core_waits: int
    bus: int
    scalar: int

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Breakdown:
        """From the counters' names and values, as the console gives them."""
        cycles, busy, stall = counts["cycles"], counts["engine-busy"], counts["engine-stall"]
        waits = min(counts["cfu-wait"], cycles)
        bus = counts["ibus-transfers"] + counts["ibus-wait"] + counts["dbus-reads"] + counts["dbus-wait"]
        bus = min(bus, cycles - waits)
        return cls(cycles, busy - stall if busy else counts["cfu-ops"], stall, waits, bus, cycles - waits - bus)

    @property
    def unit_share(self) -> float:
        """Part of the time in which the unit computes."""
        return self.unit_busy / self.cycles if self.cycles else 0.0

    def to_json(self) -> dict[str, int]:
        return asdict(self)


_CORE = (("scalar", "yellow"), ("bus", "red"), ("core_waits", "blue"))
_UNIT = (("unit_busy", "green"), ("unit_waits", "magenta"))


def flame(
    layers: Iterable[tuple[str, int, Breakdown | None]],
    *,
    title: str | None = None,
    width: int = 32,
    total: bool = True,
) -> Table:
    """A row a layer: name, cycles, a bar as long as its share, cut into what core (above) and unit (below) did.

    A target without counters, of which no layer has a breakdown, gets plain bars and no columns for them.

    Parameters
    ----------
    layers
        Name, cycles as timed, and the breakdown where there is one.
    width
        Characters of the longest bar.
    total
        The rows are parts of a whole: give shares and a sum.
    """
    rows = list(layers)
    whole, longest = sum(cycles for _, cycles, _ in rows), max((cycles for _, cycles, _ in rows), default=1)
    counted = any(parts is not None for _, _, parts in rows)
    names = ["layer", "cycles", "share", "core / unit" if counted else ""]
    names += ["scalar", "bus", "core waits", "unit busy", "unit waits"] if counted else []
    table = Table(title=title, caption=_legend() if counted else None)
    for name in names:
        table.add_column(name, justify="left" if name in ("layer", "core / unit", "") else "right", no_wrap=True)
    for name, cycles, parts in rows:
        length = width * cycles / max(longest, 1)
        cells = [name, f"{cycles:,}", f"{cycles / max(whole, 1):.0%}" if total else ""]
        if parts is None:
            table.add_row(*cells, Text("█" * max(1, round(length)), style="dim"))
            continue
        bars = Text.assemble(_bar(parts, _CORE, length), "\n", _bar(parts, _UNIT, length))
        numbers = (parts.scalar, parts.bus, parts.core_waits, parts.unit_busy, parts.unit_waits)
        table.add_row(*cells, bars, *(f"{value:,}" for value in numbers))
    if total:
        table.add_section()
        table.add_row("all", f"{whole:,}")
    return table


def _bar(parts: Breakdown, kinds: tuple[tuple[str, str], ...], length: float) -> Text:
    text, at, drawn = Text(), 0.0, 0
    for field, colour in kinds:
        at += length * getattr(parts, field) / max(parts.cycles, 1)
        text.append("█" * (round(at) - drawn), style=colour)
        drawn = max(drawn, round(at))
    return text


def _legend() -> Text:
    parts = [(f"█ {field.replace('_', ' ')}  ", colour) for field, colour in (*_CORE, *_UNIT)]
    return Text.assemble("core: ", *parts[: len(_CORE)], "unit: ", *parts[len(_CORE) :])
