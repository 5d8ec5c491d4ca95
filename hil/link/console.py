"""The firmware's console: MLPerf Tiny's text commands and our own (firmware/runtime/README.md)."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from hil.link.flash import flash
from hil.link.frame import MAX_PAYLOAD, OVERHEAD, Frame, FrameType
from hil.link.port import Port
from mico.errors import ProtocolError, ProtocolTimeout

__all__ = ["BenchResult", "Console", "InferResult", "LayerCounts", "LayerResult"]

READY = "m-ready"
ASK_AGAIN = 2  # times, where an answer arrived damaged
DB_BYTES = 31  # of one db command: what MLPerf's runner sends


@dataclass(frozen=True)
class InferResult:
    """Answer to ``infer``: two time stamps (us) around the laps, cycles of the first 256 laps, the logits."""

    lap_us: tuple[int, int]
    lap_cycles: tuple[int, ...]
    results: tuple[float, ...]


@dataclass(frozen=True)
class LayerResult:
    """Answer to ``layers``: cycles of each layer of the last lap in execution order, between them, and in all."""

    layers: tuple[tuple[str, int], ...]
    glue: int
    total: int


@dataclass(frozen=True)
class LayerCounts:
    """Profiling counters around one layer, by name."""

    name: str
    counts: dict[str, int]


@dataclass(frozen=True)
class BenchResult:
    """Answer to ``bench``: cycles of each lap; of the last one, of each layer; CRC-32 of each layer's output; counters
    of each layer, empty where the hardware has none."""

    laps: tuple[int, ...]
    layers: tuple[tuple[str, int], ...]
    crcs: dict[str, int]
    counts: tuple[LayerCounts, ...]


class Console:
    """Sends commands and reads their answers.

    Parameters
    ----------
    port
        Where the firmware listens.
    timeout_s
        Longest silence within an answer, ``infer`` aside.
    watch
        Called about once a second while waiting; raises when the device is known to be dead.
    """

    def __init__(self, port: Port, *, timeout_s: float = 10.0, watch: Callable[[], None] | None = None) -> None:
        self.port = port
        self.timeout_s = timeout_s
        self.watch = watch
        self._pending = b""
        self._clean = True  # no answer is outstanding
        self._syncs = 0

    # ---- exchange

    def wait_boot(self, early: bytes = b"", timeout_s: float | None = None) -> list[str]:
        """The lines that a program sends by itself after it starts; *early* are bytes that have been read already."""
        self._pending = early
        lines = self._answer("the program's boot lines", timeout_s)
        self._clean = True
        return lines

    def answers(self, timeout_s: float) -> bool:
        """Whether a console is there and takes commands: the answer to an empty one comes within *timeout_s*."""
        self.port.drain(quiet_s=0.0)
        self._pending = b""
        self._clean = False
        self.port.write(b"%")
        try:
            self._clean = self._answer("an answer to an empty command", timeout_s) == ["e-[Empty command]"]
        except ProtocolError:
            return False
        return self._clean

    def sync(self, timeout_s: float = 2.0) -> None:
        """Bring the console to a state where it takes a command, whatever was half sent or half read before.

        Sends a command that does not exist, with a number of its own, and waits for the error that names it: no answer
        to an earlier command can be taken for that.
        """
        abort = bytes(MAX_PAYLOAD + OVERHEAD) + Frame(FrameType.ABORT, 0).encode()  # for a device within a load
        for prefix in (b"", abort, abort):
            self._pending = b""
            self._syncs += 1
            word = f"sync-{self._syncs:x}"
            self.port.write(prefix + f"%{word}%".encode())
            deadline = time.monotonic() + timeout_s
            try:
                while self._line("an answer to sync", deadline - time.monotonic()) != f"e-[Unknown command: {word}]":
                    pass
                self._clean = self._answer("an answer to sync", timeout_s) == []
            except (ProtocolTimeout, ProtocolError):
                continue
            if self._clean:
                return
        raise ProtocolTimeout(
            "awaited the answer to a command that does not exist, 3 times",
            where=self.port.url,
            cure="no console runs on the device: flash a program; or the device is hung: reset it",
        )

    def command(self, text: str, timeout_s: float | None = None) -> list[str]:
        """Send *text* (without %); return the lines before ``m-ready``.

        Raises
        ------
        ProtocolError
            The device answered ``e-[...]``, or bytes that are no text.
        ProtocolTimeout
            A silence of *timeout_s* (default: the console's) before ``m-ready``.
        """
        self._begin(f"{text}%")
        lines = self._answer(f"the answer to {text!r}", timeout_s)
        self._clean = True
        for line in lines:
            if line.startswith("e-["):
                # A trap cuts an answer short; what follows it cannot be told from what belongs to it.
                self._clean = not line.startswith("e-[Trap")
                raise ProtocolError(f"{text!r} was answered by {line}", where=self.port.url)
        return lines

    def checked(self, text: str, timeout_s: float | None = None) -> list[str]:
        """As :meth:`command`, for commands that close their answer with its CRC-32: ProtocolError if it is wrong."""
        lines = self.command(text, timeout_s)
        body = "".join(f"{line}\r\n" for line in lines[:-1])
        self._clean = False  # until the answer proves to be whole
        if not lines or lines[-1] != f"m-check-[{zlib.crc32(body.encode()):08x}]":
            raise ProtocolError(
                f"the answer to {text!r} arrived damaged: {lines[-3:]}",
                where=self.port.url,
                cure="a bad cable or baud rate: ask again",
            )
        self._clean = True
        return lines[:-1]

    def asked(self, text: str) -> list[str]:
        """As :meth:`checked`, for what may be asked twice: asks again where the answer arrived damaged."""
        for _ in range(ASK_AGAIN):
            try:
                return self.checked(text)
            except ProtocolTimeout:
                raise
            except ProtocolError:
                continue
        return self.checked(text)

    # ---- typed commands

    def name(self) -> str:
        return self._match(self.command("name"), r"m-name-dut-\[(.*)\]", "name").group(1)

    def profile(self) -> tuple[str, str]:
        """Profile and name of the model."""
        lines = self.command("profile")
        profile = self._match(lines[:1], r"m-profile-\[(.*)\]", "profile").group(1)
        return profile, self._match(lines[1:], r"m-model-\[(.*)\]", "profile").group(1)

    def timestamp_us(self) -> int:
        return int(self._match(self.command("timestamp"), r"m-lap-us-(\d+)", "timestamp").group(1))

    def info(self) -> dict[str, str]:
        """``info``: what runs here, and on what."""
        info: dict[str, str] = {}
        for line in self.asked("info"):
            found = self._match([line], r"m-info-\[([a-z0-9-]+)=(.*)\]", "info")
            info[found.group(1)] = found.group(2)
        return info

    def load(self, data: bytes) -> None:
        """Send the model's input in frames; their CRCs and the one of the whole input are checked by the device."""
        self._frames(f"load {len(data)}", data, 0)

    def receive(self, data: bytes, base: int) -> None:
        """Send a case to the bench firmware, to address *base*, as :meth:`load` sends an input."""
        self._frames(f"receive {len(data)}", data, base)

    def _frames(self, command: str, data: bytes, base: int) -> None:
        self._begin(f"{command}%")
        line = self._line(f"the answer to {command!r}", self.timeout_s)
        if line != f"m-[Expecting {len(data)} bytes]":
            raise ProtocolError(f"{command!r} was answered by {line!r}", where=self.port.url)
        report = flash(self.port, data, base=base, entry=base, started=b"m-load-done", watch=self.watch)
        self._pending = report.text
        lines = self._answer("m-load-done", None)
        if lines != ["m-load-done"]:
            raise ProtocolError(f"a load was ended by {lines}", where=self.port.url)
        self._clean = not report.resent  # a frame sent twice may still be read as a command

    def load_hex(self, data: bytes) -> None:
        """Send the model's input as MLPerf's runner does: hex, 31 bytes a command. Nothing protects them on the way."""
        self.command(f"db load {len(data)}")
        lines: list[str] = []
        for start in range(0, len(data), DB_BYTES):
            lines = self.command(f"db {data[start : start + DB_BYTES].hex()}")
        if lines != ["m-load-done"]:
            raise ProtocolError(f"awaited m-load-done after {len(data)} bytes, arrived {lines}", where=self.port.url)

    def buffer(self) -> bytes:
        """The input as the device holds it."""
        text = self._match(self.command("db print"), r"m-buffer-([0-9a-f-]+)", "db print").group(1)
        return bytes.fromhex(text.replace("-", ""))

    def infer(self, laps: int, warmup: int, timeout_s: float | None = None) -> InferResult:
        """Run *warmup* and *laps* inferences. No CRC protects this answer: see :meth:`laps`, :meth:`logits`."""
        lines = self.command(f"infer {laps} {warmup}", timeout_s)
        frame = [f"m-warmup-start-{warmup}", "m-warmup-done", f"m-infer-start-{laps}"]
        if lines[:3] != frame or lines[-2:-1] != ["m-infer-done"]:
            raise ProtocolError(f"awaited an answer to infer, arrived {lines}", where=self.port.url)
        stamps = [int(self._match([line], r"m-lap-us-(\d+)", "infer").group(1)) for line in lines[3:5]]
        results = self._match(lines[-1:], r"m-results-\[(.*)\]", "infer").group(1)
        try:
            values = tuple(float(value) for value in results.split(","))
        except ValueError as error:
            raise ProtocolError(f"not a list of numbers: {results}", where=self.port.url) from error
        return InferResult((stamps[0], stamps[1]), self._cycles(lines[5:-2]), values)

    def laps(self) -> tuple[int, ...]:
        """Cycles of each lap (the first 256) of the last inference."""
        return self._cycles(self.asked("laps"))

    def logits(self) -> tuple[int, ...]:
        """int32 outputs of the last inference, exact."""
        text = self._match(self.asked("logits"), r"m-logits-\[([0-9,-]+)\]", "logits").group(1)
        return tuple(int(value) for value in text.split(","))

    def layers(self) -> LayerResult:
        """Cycles of each layer of the last lap."""
        lines = self.asked("layers")
        if len(lines) < 3:
            raise ProtocolError(f"awaited an answer to layers, arrived {lines}", where=self.port.url)
        layers = []
        for line in lines[:-2]:
            found = self._match([line], r"m-layer-\[(.*)\] (\d+)", "layers")
            layers.append((found.group(1), int(found.group(2))))
        glue = int(self._match(lines[-2:-1], r"m-glue (\d+)", "layers").group(1))
        return LayerResult(tuple(layers), glue, int(self._match(lines[-1:], r"m-total (\d+)", "layers").group(1)))

    def counters(self, timeout_s: float | None = None) -> tuple[LayerCounts, ...]:
        """The profiling counters of each layer, in one more lap."""
        return self._counts(self.checked("counters", timeout_s), "counters")

    def bench(self, address: int, laps: int, timeout_s: float | None = None) -> BenchResult:
        """Check and time the case at *address*, sent by :meth:`receive`."""
        lines = self.checked(f"bench {address:08x} {laps}", timeout_s)
        layers, crcs, rest = [], {}, lines[laps:]
        while rest and rest[0].startswith("m-layer-["):
            found = self._match(rest[:1], r"m-layer-\[(.*)\] (\d+) ([0-9a-f]{8})", "bench")
            layers.append((found.group(1), int(found.group(2))))
            crcs[found.group(1)] = int(found.group(3), 16)
            rest = rest[1:]
        counts = self._counts(rest, "bench") if rest else ()
        return BenchResult(self._cycles(lines[:laps]), tuple(layers), crcs, counts)

    def _counts(self, lines: list[str], command: str) -> tuple[LayerCounts, ...]:
        names = self._match(lines[:1], r"m-counters-\[([a-z,-]+)\]", command).group(1).split(",")
        counts = []
        for line in lines[1:]:
            found = self._match([line], r"m-counts-\[(.*)\] ([0-9,]+)", command)
            values = [int(value) for value in found.group(2).split(",")]
            if len(values) != len(names):
                raise ProtocolError(f"{len(values)} counts of {len(names)} counters: {line}", where=self.port.url)
            counts.append(LayerCounts(found.group(1), dict(zip(names, values, strict=True))))
        return tuple(counts)

    # ---- lines

    def _begin(self, text: str) -> None:
        """Send a command; whatever an exchange before it left behind is got rid of first."""
        if not self._clean:
            self.sync()
        self._pending = b""
        self._clean = False
        self.port.write(text.encode("ascii"))

    def _cycles(self, lines: list[str]) -> tuple[int, ...]:
        return tuple(int(self._match([line], r"m-lap-cycles-\[(\d+)\]", "laps").group(1)) for line in lines)

    def _match(self, lines: list[str], pattern: str, command: str) -> re.Match[str]:
        found = re.fullmatch(pattern, lines[0]) if len(lines) == 1 else None
        if found is None:
            raise ProtocolError(f"{command!r} was answered by {lines}, awaited {pattern}", where=self.port.url)
        return found

    def _answer(self, awaited: str, timeout_s: float | None) -> list[str]:
        lines: list[str] = []
        while True:
            line = self._line(awaited, self.timeout_s if timeout_s is None else timeout_s, lines)
            if line == READY:
                return lines
            lines.append(line)

    def _line(self, awaited: str, timeout_s: float, before: list[str] | None = None) -> str:
        """The next line without its end. Raises ProtocolTimeout after *timeout_s* without one."""
        deadline = time.monotonic() + timeout_s
        while b"\r\n" not in self._pending:
            left = deadline - time.monotonic()
            data = self.port.read(min(max(left, 0.0), 1.0))
            self._pending += data
            if not data and self.watch is not None:
                self.watch()
            if left <= 0 and b"\r\n" not in self._pending:
                raise self._timed_out(awaited, timeout_s, before or [])
        line, _, self._pending = self._pending.partition(b"\r\n")
        try:
            return line.decode("ascii")
        except UnicodeDecodeError as error:
            raise ProtocolError(
                f"awaited {awaited}, arrived {line!r}", where=self.port.url, cure="a bad cable or a wrong baud rate"
            ) from error

    def _timed_out(self, awaited: str, timeout_s: float, lines: list[str]) -> ProtocolTimeout:
        arrived = [*lines[-3:], *([repr(self._pending[-80:])] if self._pending else [])]
        if arrived:
            cure = "the program stopped in the middle, or bytes were lost"
        else:
            cure = "no program runs, it is hung, or another baud rate is set"
        return ProtocolTimeout(
            f"awaited {awaited}, up to {READY}, for {timeout_s:g} s; arrived: {arrived or 'nothing'}",
            where=self.port.url,
            cure=cure,
        )
