"""What lab.toml may say: the kinds of targets, their keys, and what the values must be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.usb_ports import by_id

__all__ = ["KEYS", "MAX_COUNT", "NAME", "Key", "ValueProblem", "nearest", "require"]

MAX_COUNT = 64
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
PLACEHOLDERS = ("image", "port", "address")


class ValueProblem(Exception):  # noqa: N818 - it becomes a UsageError with file and line
    """A value that a key does not take: what is wrong, and the cure."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.what, self.cure = what, cure


@dataclass(frozen=True)
class Key:
    """One key of a kind: *check* returns the value to use or raises ValueProblem; *says* is for the documentation."""

    check: Callable[[Any, Path], Any]
    says: str


def _integer(least: int, most: int) -> Callable[[Any, Path], int]:
    def check(value: Any, _folder: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueProblem(f"{value!r} is not a whole number from {least} to {most}", "a number without quotes")
        return value

    return check


def _seconds(value: Any, _folder: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        raise ValueProblem(f"{value!r} is not a time in seconds", "a number above 0 and up to 3600")
    return float(value)


def _number(value: Any, _folder: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1024:
        raise ValueProblem(f"{value!r} is not a number of CPUs", "for instance 0.5")
    return float(value)


def _flag(value: Any, _folder: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueProblem(f"{value!r} is not true or false", "true or false, without quotes")
    return value


def _matching(pattern: str, example: str) -> Callable[[Any, Path], str]:
    def check(value: Any, _folder: Path) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise ValueProblem(f"{value!r} is not of the form that is wanted", f"for instance {example}")
        return value

    return check


def _one_of(*names: str) -> Callable[[Any, Path], str]:
    def check(value: Any, _folder: Path) -> str:
        if value not in names:
            raise ValueProblem(f"{value!r} is none of {', '.join(names)}", nearest(str(value), names))
        return str(value)

    return check


def _file(value: Any, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueProblem(f"{value!r} is not the path of a file", "a path, relative to the folder of this file")
    path = (folder / Path(value).expanduser()).resolve()
    if not path.is_file():
        raise ValueProblem(f"no such file: {path}", "a path is relative to the folder of this file")
    return path


def _device(value: Any, _folder: Path) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueProblem(f"{value!r} is not the path of a port", "for instance /dev/serial/by-id/usb-...")
    if re.fullmatch(r"/dev/tty(USB|ACM)\d+", value):
        found = by_id(value)
        cure = f'port = "{found}"' if found else "its path in /dev/serial/by-id, or `mico targets scan`"
        raise ValueProblem(f"{value} is another board after the next plugging in", cure)
    return value


def _command(value: Any, _folder: Path) -> tuple[str, ...]:
    words = value if isinstance(value, list) else []
    if not words or not all(isinstance(word, str) and word for word in words):
        raise ValueProblem(f"{value!r} is not a command", 'a list of words: ["openocd", "-f", "board.cfg"]')
    for word in words:
        for name in re.findall(r"\{(\w*)\}", word):
            if name not in PLACEHOLDERS:
                raise ValueProblem(f"{{{name}}} stands for nothing", f"one of {{{'}, {'.join(PLACEHOLDERS)}}}")
    return tuple(words)


def _reset(value: Any, folder: Path) -> tuple[str, ...] | str:
    """A command, or the address of a second port that takes ``reset`` and answers when it is done."""
    return _ADDRESS(value, folder) if isinstance(value, str) else _command(value, folder)


_ADDRESS = _matching(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[1-9]\d{0,4}", '"192.168.1.7:4000"')
_USB_ID = _matching(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}", '"0403:6010"')
_TEXT = _matching(r".+", '"a text"')
_BIG = 2**31 - 1

_COUNT = {"count": Key(_integer(1, MAX_COUNT), "copies: NAME-0, NAME-1, ...")}
_MEMORY = {
    "bandwidth": Key(_integer(1, 65536), "of the memory, bits a cycle"),
    "read_latency": Key(_integer(2, 65536), "of the memory, cycles"),
    "write_latency": Key(_integer(2, 65536), "of the memory, cycles"),
}
_BOARD = {
    "bitstream": Key(_file, "what the FPGA was configured with: its hash stands for the hardware"),
    "simd": Key(_integer(0, 2), "kernels: 2 streaming engine, 1 dot products, 0 plain C; default 2"),
    "programmer": Key(_command, "command that loads {image} at {address}, instead of our boot loader"),
    "programmer_timeout_s": Key(_seconds, "default 120"),
    "power_on": Key(_command, "command that powers the board, before it is opened"),
    "power_off": Key(_command, "command that takes its power, when it is closed"),
    "power_timeout_s": Key(_seconds, "default 30"),
    "reset_timeout_s": Key(_seconds, "default 30"),
    "boot_s": Key(_seconds, "time from reset or power to the boot loader; default 0.5"),
    "timeout_s": Key(_seconds, "longest silence of the console; default 20"),
}

KEYS: Mapping[str, Mapping[str, Key]] = {
    "soc-sim": {
        **_COUNT,
        "cpu": Key(_one_of("vexriscv", "vexiiriscv"), "the core; vexiiriscv needs netlist"),
        "ram_bytes": Key(_integer(1024, 256 << 20), "size of the RAM"),
        "ram_latency": Key(_integer(0, 1000), "wait states per access"),
        "simd": Key(_integer(0, 2), "SIMD unit"),
        "lanes": Key(_integer(1, 4), "of the streaming engine: 1, 2 or 4"),
        "netlist": Key(_file, "Verilog file of the core"),
        "clock_hz": Key(_integer(1_000_000, 4_000_000_000), "nominal clock"),
        "pgo": Key(_flag, "compile the simulator twice, the second time with a profile"),
    },
    "bitfusion-sim": {
        **_COUNT,
        "rows": Key(_integer(1, 256), "fusion units that add up in a column"),
        "cols": Key(_integer(1, 256), "columns"),
        "bus_bits": Key(_integer(32, 4096), "width of the memory port"),
        "ibuf_bytes": Key(_integer(1, _BIG), "input buffer"),
        "wbuf_bytes": Key(_integer(1, _BIG), "weight buffer"),
        "obuf_bytes": Key(_integer(1, _BIG), "partial-sum buffer"),
        "patch_depth": Key(_integer(1, _BIG), "chunks of the patch FIFO"),
        "param_depth": Key(_integer(1, _BIG), "entries of the parameter buffer"),
        **_MEMORY,
        "rtl": Key(_one_of("functional", "structural"), "build of the RTL"),
        "cycle_limit": Key(_integer(1, 2**40), "a run ends in an error there"),
    },
    "container": {
        **_COUNT,
        "image": Key(_TEXT, "name of the image; soc or bitfusion for that of `mico images build`"),
        "cpus": Key(_number, "limit, for instance 0.5"),
        "memory": Key(_matching(r"\d+[kmgKMG]?", '"512m"'), "limit, for instance 512m"),
    },
    "soc-server": {
        "console": Key(_ADDRESS, "host:port of the console of a simulator that somebody runs with --listen"),
        "control": Key(_ADDRESS, "host:port of its second port"),
    },
    "bitfusion-server": {
        "address": Key(_ADDRESS, "host:port of a simulation that somebody runs: python -m hil.harness.bf_server"),
        **_MEMORY,
        "cycle_limit": Key(_integer(1, 2**40), "a run ends in an error there"),
    },
    "serial": {
        "serial": Key(_TEXT, "serial number of the USB bridge"),
        "usb": Key(_USB_ID, "vendor:product, where only one such board is attached"),
        "port": Key(_device, "path in /dev/serial/by-id"),
        "baud": Key(_integer(300, 12_000_000), "of the console; default 115200"),
        "flash_baud": Key(_integer(9600, 12_000_000), "agreed upon for the image, for instance 1000000"),
        "reset": Key(_command, "command that resets the board"),
        **_BOARD,
    },
    "tcp": {
        "address": Key(_ADDRESS, "host:port of the console"),
        "reset": Key(_reset, "command, or host:port that takes the line `reset`"),
        **_BOARD,
    },
}

_REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "container": (("image",),),
    "soc-server": (("console",), ("control",)),
    "bitfusion-server": (("address",),),
    "serial": (("serial", "usb", "port"),),
    "tcp": (("address",),),
}


def require(kind: str, keys: Collection[str]) -> None:
    """Raise ValueProblem unless *keys* hold exactly one of every group that *kind* needs."""
    for group in _REQUIRED.get(kind, ()):
        given = [name for name in group if name in keys]
        if len(given) != 1:
            told = f"both {' and '.join(given)}" if given else f"no {' nor '.join(group)}"
            raise ValueProblem(f"a target of kind {kind} with {told}", f"give one of: {', '.join(group)}")


def nearest(word: str, words: Collection[str]) -> str:
    """A cure for a word that is not among *words*."""
    found = difflib.get_close_matches(word, words, 1, 0.6)
    return f"did you mean {found[0]!r}?" if found else f"one of {', '.join(words)}"
