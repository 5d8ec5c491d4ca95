"""The process of a simulator: started, watched, and killed for sure. Speaks the contract of hil/README.md."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from mico.errors import DeviceError, ProtocolError, ProtocolTimeout

__all__ = ["SimProcess"]

_KILL_AFTER_S = 2.0


class SimProcess:
    """A running simulator. It ends at the end of its stdin, so it cannot outlive this process, however that one ends.

    Parameters
    ----------
    command
        Program and arguments.
    timeout_s
        Longest wait for an event.

    Raises
    ------
    DeviceError
        It cannot be started, or ends.
    ProtocolTimeout
        No ready line within *timeout_s*; the process is killed.
    """

    def __init__(self, command: Sequence[str], timeout_s: float) -> None:
        self.name = command[0]
        self.timeout_s = timeout_s
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, start_new_session=True
            )
        except OSError as error:
            self._stderr.close()
            raise DeviceError(
                f"the simulator does not start: {error}", where=self.name, cure="remove build/ and build again"
            ) from error
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._last_cycles = -1
        # Also kills it where close() is forgotten: at the end of the interpreter or when this object goes.
        self._finalizer = weakref.finalize(self, _kill, self._process)
        self._reader = threading.Thread(target=_read_events, args=(self._process, self._events), daemon=True)
        self._reader.start()
        try:
            self.ready = self._await("ready", time.monotonic() + timeout_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(self, command: str) -> dict[str, Any]:
        """Send *command* and wait for the event of that name."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n".encode())
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._dead() from error
        return self._await(command, time.monotonic() + self.timeout_s)

    def check(self) -> None:
        """Raise DeviceError if the simulator has ended, ProtocolTimeout if it answers nothing or does not advance."""
        if self._process.poll() is not None:
            raise self._dead()
        self.request("stats")

    def close(self) -> None:
        """Ask it to end, then kill it. Safe to call twice."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                assert self._process.stdin is not None
                self._process.stdin.close()  # the end of stdin ends it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_AFTER_S)
        self._finalizer()
        self._reader.join(_KILL_AFTER_S)
        self._stderr.close()

    def _await(self, name: str, deadline: float) -> dict[str, Any]:
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ProtocolTimeout(
                    f"awaited the event {name!r} of the simulator for {self.timeout_s:g} s, nothing arrived",
                    where=f"{self.name}, pid {self.pid}",
                    cure="the simulator is stopped or hung, or the machine is overloaded",
                ) from None
            if event is None:
                raise self._dead()
            if event.get("event") == name:
                return event
            if event.get("event") == "limit":
                raise self._limit(event)
            if event.get("event") == "garbled":
                raise ProtocolError(
                    f"the simulator printed {event.get('line')!r} where an event was awaited", where=self.name
                )

    def _limit(self, event: dict[str, Any]) -> DeviceError:
        return DeviceError(
            f"the simulator reached its limit of {event.get('cycles')} cycles",
            where=self.name,
            cure="a program that hangs, or raise max_cycles",
        )

    def _dead(self) -> DeviceError:
        try:
            code: int | None = self._process.wait(_KILL_AFTER_S)
            self._reader.join(_KILL_AFTER_S)  # what it printed last says why
        except subprocess.TimeoutExpired:
            code = None
        while not self._events.empty():
            event = self._events.get_nowait()
            if event is not None and event.get("event") == "limit":
                return self._limit(event)
        if code is None:
            how = "closed its output"
        else:
            how = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
        errors = ""
        with contextlib.suppress(ValueError, OSError):
            self._stderr.seek(0)
            errors = self._stderr.read()[-1000:].decode(errors="replace").strip()
        return DeviceError(
            f"the simulator {how}" + (f" and printed: {errors}" if errors else ""),
            where=self.name,
            cure="killed from outside, out of memory, or its cycle limit" if code != 0 else "",
        )


def _read_events(process: subprocess.Popen[bytes], events: queue.Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.decode(errors="replace").strip()
        if not line:
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            event = None
        events.put(event if isinstance(event, dict) else {"event": "garbled", "line": line})
    events.put(None)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.close()
