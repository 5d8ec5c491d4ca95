"""A serial line that damages bytes, between a device process and whoever opens its pty or socket."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.link.port import Port, open_port


@dataclass(frozen=True)
class Faults:
    """Probabilities for each byte, in each direction; ``silent_s`` is how long a silence swallows everything."""

    flip: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    silence: float = 0.0
    silent_s: float = 0.3


class FaultyLine:
    """Starts *command* and connects its stdin and stdout with ``url`` through *faults*, drawn from *seed*.

    What the device says before :meth:`open` waits for that: opening a port empties its input.
    """

    def __init__(self, command: Sequence[str | Path], faults: Faults, seed: int, kind: str = "pty") -> None:
        self.faults = faults
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._stop = threading.Event()
        self._close: list[int] = []
        self._listener: socket.socket | None = None
        if kind == "pty":
            master, slave = os.openpty()
            tty.setraw(slave)
            self._close = [master, slave]
            self.url = os.ttyname(slave)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
            master = -1
        self._thread = threading.Thread(target=self._serve, args=(master, random.Random(seed)), daemon=True)

    def open(self) -> Port:
        """The host's end; from now on bytes pass."""
        port = open_port(self.url)
        self._thread.start()
        return port

    def _serve(self, line: int, rng: random.Random) -> None:
        connection = None
        if self._listener is not None:
            self._listener.settimeout(60)
            connection, _ = self._listener.accept()
            line = connection.fileno()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        to_device, from_device = self.process.stdin.fileno(), self.process.stdout.fileno()
        silent_until = {line: 0.0, from_device: 0.0}
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                for source in select.select([line, from_device], [], [], 0.05)[0]:
                    data = os.read(source, 4096)
                    if not data:
                        return
                    os.write(to_device if source == line else line, self._damage(data, source, rng, silent_until))
        if connection is not None:
            connection.close()

    def _damage(self, data: bytes, source: int, rng: random.Random, silent_until: dict[int, float]) -> bytes:
        faults, out = self.faults, bytearray()
        for byte in data:
            if time.monotonic() < silent_until[source]:
                continue
            if rng.random() < faults.silence:
                silent_until[source] = time.monotonic() + faults.silent_s
                continue
            if rng.random() < faults.drop:
                continue
            if rng.random() < faults.flip:
                byte ^= 1 << rng.randrange(8)
            out.append(byte)
            if rng.random() < faults.double:
                out.append(byte)
        return bytes(out)

    def close(self) -> None:
        self._stop.set()
        self.process.kill()
        self.process.wait()
        if self._thread.ident is not None:
            self._thread.join(60)
        for descriptor in self._close:
            os.close(descriptor)
        if self._listener is not None:
            self._listener.close()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __enter__(self) -> FaultyLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
