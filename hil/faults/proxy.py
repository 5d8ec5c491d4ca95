"""A process-local proxy between a host and the port of a target, which damages what passes as a script says."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import TracebackType

import serial

from hil.faults.script import Event, Noise, Script
from hil.link.port import open_stream, routed
from mico.errors import UsageError

__all__ = ["Proxy", "proxied"]

_IDLE_S = 0.01
_CHUNK = 512
_RATES = {getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9]\d*", name)}
_FAULTS = (serial.SerialException, OSError, termios.error, TypeError)


class _Direction:
    """One direction: bytes that wait to be passed on, and the state of the noise in it."""

    def __init__(self, noise: Noise, rng: random.Random, baud: int) -> None:
        self._noise = noise
        self._rng = rng
        self._byte_s = 10.0 / baud if baud else 0.0
        self._silent_until = 0.0
        self._due = 0.0
        self._queue: deque[tuple[float, int]] = deque()
        self.passed = 0

    def set_rate(self, baud: int) -> None:
        self._byte_s = 10.0 / baud if baud else 0.0

    def put(self, data: bytes, now: float) -> None:
        noise, rng = self._noise, self._rng
        for byte in data:
            self.passed += 1
            if noise.delay and rng.random() < noise.delay:
                self._due = max(self._due, now) + noise.delay_s
            self._due = max(self._due, now) + self._byte_s
            if now < self._silent_until:
                continue
            if noise.silence and rng.random() < noise.silence:
                self._silent_until = now + noise.silent_s
                continue
            if noise.drop and rng.random() < noise.drop:
                continue
            if noise.flip and rng.random() < noise.flip:
                byte ^= 1 << rng.randrange(8)
            self._queue.append((self._due, byte))
            if noise.double and rng.random() < noise.double:
                self._queue.append((self._due, byte))

    def inject(self, data: bytes, now: float) -> None:
        self._queue.extend((now, byte) for byte in data)

    @property
    def full(self) -> bool:
        return len(self._queue) > 4096

    def take(self, now: float) -> bytes:
        """What is due."""
        out = bytearray()
        while self._queue and self._queue[0][0] <= now and len(out) < _CHUNK:
            out.append(self._queue.popleft()[1])
        return bytes(out)

    def put_back(self, data: bytes) -> None:
        self._queue.extendleft((0.0, byte) for byte in reversed(data))

    def wait_s(self, now: float) -> float:
        """Until something is due."""
        return max(0.0, self._queue[0][0] - now) if self._queue else _IDLE_S


class Proxy:
    """Opens *target* and offers ``url``, a pty, in its stead. A context manager.

    Parameters
    ----------
    target
        Any URL of pyserial.
    script
        What goes wrong.
    actions
        What a fault of the device does, by its kind (``reset``, ``kill``, ``stop``, ``hang``); called with the event's
        seconds from the proxy's thread. UsageError where the script has one that is missing here.
    baud
        Limits both directions to this rate, 10 bits a byte; 0: no limit.
    notices
        A pipe on which the device says ``AFTER BAUD`` in a line each time it changes its rate, *after* so many bytes
        that it has sent. The line then has the device's rate, *baud* at first, and while the host has set its port to
        another, what arrives on either side is garbage.
    """

    def __init__(
        self,
        target: str,
        script: Script,
        actions: Mapping[str, Callable[[float], None]] | None = None,
        baud: int = 0,
        notices: int = -1,
    ) -> None:
        self._baud = baud
        self._notices = notices
        self._pending_notices = b""
        self._changes: deque[tuple[int, int]] = deque()
        self._actions = dict(actions or {})
        missing = {event.kind for event in script.events} - {"garbage", "cut", "disconnect", *self._actions}
        if missing:
            raise UsageError(f"nothing here can do {sorted(missing)}", where=target)
        rng = random.Random(script.seed ^ 0x5EED)
        self._rng = rng
        self._events = deque(sorted(script.events, key=lambda event: event.after))
        self._to_device = _Direction(script.noise, random.Random(rng.random()), baud)
        self._to_host = _Direction(script.noise, random.Random(rng.random()), baud)
        self._cut = False
        self._stop = threading.Event()
        self._device = open_stream(target)
        self._device.timeout = 0
        self._device.write_timeout = 0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.url = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._serve, name="fault proxy", daemon=True)
        self._thread.start()

    @property
    def remaining(self) -> tuple[Event, ...]:
        """Events that have not happened, counted from now."""
        return tuple(replace(event, after=max(0, event.after - self.passed)) for event in self._events)

    @property
    def passed(self) -> int:
        """Bytes so far, both directions."""
        return self._to_device.passed + self._to_host.passed

    def _serve(self) -> None:
        try:
            while not self._stop.is_set() and self._step():
                pass
        except _FAULTS:
            pass  # the device is gone, or the host has closed: either way the line is over
        finally:
            self._hang_up()

    def _step(self) -> bool:
        now = time.monotonic()
        sources: list[int] = []
        if not self._to_device.full:
            sources.append(self._master)
        if not self._to_host.full:
            sources.append(self._device.fileno())
        if self._notices >= 0:
            sources.append(self._notices)
        wait_s = min(self._to_device.wait_s(now), self._to_host.wait_s(now), _IDLE_S)
        ready = select.select(sources, [], [], wait_s)[0]
        now = time.monotonic()
        if self._notices in ready:
            self._read_notices()
        if self._master in ready:
            with contextlib.suppress(BlockingIOError):
                self._to_device.put(self._heard(os.read(self._master, 4096)), now)
        if self._device.fileno() in ready:
            data = self._device.read(4096)
            if not data:
                return False
            self._from_device(data, now)
        while self._events and self.passed >= self._events[0].after:
            event = self._events.popleft()
            if event.kind == "disconnect":
                return False
            if event.kind == "cut":
                self._cut = True
            elif event.kind == "garbage":
                self._to_host.inject(self._rng.randbytes(event.size), now)
            else:
                self._actions[event.kind](event.seconds)
        to_device, to_host = self._to_device.take(now), self._to_host.take(now)
        if self._cut:
            return True
        if to_device:
            self._put(self._to_device, self._device.fileno(), to_device)
        if to_host:
            self._put(self._to_host, self._master, to_host)
        return True

    def _read_notices(self) -> None:
        data = os.read(self._notices, 4096)
        if not data:
            self._notices = -1
        *lines, self._pending_notices = (self._pending_notices + data).split(b"\n")
        for line in lines:
            after, baud = line.split()
            self._changes.append((int(after), int(baud)))
        self._change_rate()

    def _change_rate(self) -> None:
        while self._changes and self._to_host.passed >= self._changes[0][0]:
            self._baud = self._changes.popleft()[1]
            self._to_device.set_rate(self._baud)
            self._to_host.set_rate(self._baud)

    def _from_device(self, data: bytes, now: float) -> None:
        while self._changes and self._changes[0][0] < self._to_host.passed + len(data):
            old = self._changes[0][0] - self._to_host.passed  # sent at the rate before
            self._to_host.put(self._heard(data[:old]), now)
            data = data[old:]
            self._change_rate()
        self._to_host.put(self._heard(data), now)
        self._change_rate()

    def _heard(self, data: bytes) -> bytes:
        """What the other side reads: garbage, where the two have set different rates."""
        if self._notices < 0 or _RATES[termios.tcgetattr(self._master)[4]] == self._baud:
            return data
        return self._rng.randbytes(len(data))

    @staticmethod
    def _put(direction: _Direction, descriptor: int, data: bytes) -> None:
        try:
            count = os.write(descriptor, data)
        except BlockingIOError:
            count = 0
            time.sleep(0.001)
        direction.put_back(data[count:])

    def _hang_up(self) -> None:
        """What the host sees of a port that goes away."""
        for descriptor in (self._slave, self._master):
            if descriptor >= 0:
                os.close(descriptor)
        self._slave = self._master = -1
        with contextlib.suppress(*_FAULTS):
            self._device.close()

    def close(self) -> None:
        """Safe to call twice."""
        self._stop.set()
        self._thread.join(10)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def proxied(
    script: Script, actions: Mapping[str, Callable[[float], None]] | None = None, baud: int = 0
) -> Iterator[list[Proxy]]:
    """Every port that is opened within goes through a :class:`Proxy` of its own, the list's elements.

    The script's noise is on all of them; events go on from one to the next. A port that is opened again was closed.
    """
    proxies: list[Proxy] = []

    def route(url: str) -> str:
        here = script
        if proxies:
            proxies[-1].close()
            here = replace(script, seed=script.seed + len(proxies), events=proxies[-1].remaining)
        proxies.append(Proxy(url, here, actions, baud))
        return proxies[-1].url

    try:
        with routed(route):
            yield proxies
    finally:
        for proxy in proxies:
            proxy.close()
