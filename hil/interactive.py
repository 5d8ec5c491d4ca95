"""A person, or a script, on the console of a target: lines go out as commands, what comes back is printed."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

from hil.link.port import Port
from mico.errors import MicoError, ProtocolTimeout

__all__ = ["converse"]

_READY = b"m-ready\r\n"
_QUIET_S = 0.3


class _Listener(threading.Thread):
    """Prints what arrives, and knows when an answer has ended."""

    def __init__(self, port: Port, out: TextIO) -> None:
        super().__init__(daemon=True)
        self.port, self.out = port, out
        self.ready, self.end = threading.Event(), threading.Event()
        self.heard = time.monotonic()
        self.error: MicoError | None = None

    def run(self) -> None:
        tail = b""
        while not self.end.is_set():
            try:
                data = self.port.read(0.1)
            except MicoError as error:
                self.error = error
                self.ready.set()
                return
            if not data:
                continue
            self.heard = time.monotonic()
            self.out.write(data.decode("ascii", errors="replace").replace("\r\n", "\n"))
            self.out.flush()
            tail += data
            if _READY in tail:
                self.ready.set()
            tail = tail[-len(_READY) :] if not tail.endswith(_READY) else b""


def converse(port: Port, lines: TextIO, out: TextIO | None = None, *, timeout_s: float = 20.0) -> None:
    """Send each of *lines* as a command (``%`` is added), print the answers, until the lines end.

    Parameters
    ----------
    timeout_s
        Longest wait for the end of an answer before the next line is sent; a person is waited for without limit.

    Raises
    ------
    ProtocolTimeout
        No ``m-ready`` within *timeout_s*, where the lines are not typed by a person.
    DeviceError
        The port is gone.
    """
    listener = _Listener(port, out or sys.stdout)
    listener.start()
    try:
        for line in lines:
            text = line.strip()
            if not text:
                continue
            listener.ready.clear()
            port.write((text if text.endswith("%") else f"{text}%").encode("ascii", errors="replace"))
            if not listener.ready.wait(timeout_s) and not lines.isatty():
                raise ProtocolTimeout(
                    f"awaited m-ready after {text!r} for {timeout_s:g} s",
                    where=port.url,
                    cure="no console runs there: flash a program first (--image)",
                )
            if listener.error is not None:
                raise listener.error
        while time.monotonic() - listener.heard < _QUIET_S:
            time.sleep(0.05)
    finally:
        listener.end.set()
        listener.join(2.0)
    if listener.error is not None:
        raise listener.error
