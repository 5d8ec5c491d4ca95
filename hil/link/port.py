"""A byte stream opened by pyserial: a board's port, a pty of a local simulator, ``socket://`` of a container."""

from __future__ import annotations

import contextlib
import termios
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import serial

from mico.errors import DeviceError, ProtocolTimeout, UsageError

__all__ = ["Port", "open_port", "open_stream", "routed"]

_POLL_S = 0.05
_WRITE_TIMEOUT_S = 10.0
# What pyserial lets through when the other side goes: termios.error is neither a SerialException nor an OSError.
_FAULTS = (serial.SerialException, OSError, termios.error)


class Port:
    """An open stream. Every failure of the stream is a DeviceError that names it."""

    def __init__(self, stream: serial.SerialBase, url: str) -> None:
        self._stream = stream
        self.url = url

    @property
    def has_baud(self) -> bool:
        """Whether it is a line of this machine, whose rate can be set."""
        return "://" not in self.url

    def set_baud(self, baud: int) -> bool:
        """Change the rate, once all that was written has left; False where this port cannot have it."""
        try:
            self._stream.flush()
            self._stream.baudrate = baud
        except ValueError:
            return False
        except (*_FAULTS, TypeError) as error:
            raise self._gone(f"cannot be set to {baud} baud", error) from error
        return True

    def read(self, timeout_s: float) -> bytes:
        """At least one byte, as soon as there is one; empty after *timeout_s* without."""
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                data: bytes = self._stream.read(1)
                if data:
                    return data + bytes(self._stream.read(self._stream.in_waiting))
                if time.monotonic() >= deadline:
                    return b""
        except (*_FAULTS, TypeError) as error:
            raise self._gone("cannot be read", error) from error

    def write(self, data: bytes) -> None:
        """Sends all of *data*; ProtocolTimeout where the other side takes nothing for 10 s."""
        try:
            self._stream.write(data)
            self._stream.flush()
        except serial.SerialTimeoutException as error:
            raise ProtocolTimeout(
                f"{len(data)} bytes could not be sent within {_WRITE_TIMEOUT_S:g} s",
                where=self.url,
                cure="the target is hung or stopped: reset it",
            ) from error
        except (*_FAULTS, TypeError) as error:
            raise self._gone("cannot be written", error) from error

    def drain(self, quiet_s: float = 0.05, limit_s: float = 1.0) -> bytes:
        """Takes what arrives until *quiet_s* pass without a byte, or *limit_s* in all."""
        deadline = time.monotonic() + limit_s
        taken = b""
        while time.monotonic() < deadline:
            data = self.read(quiet_s)
            if not data:
                break
            taken += data
        return taken

    def close(self) -> None:
        """Safe to call twice and on a stream that is already gone."""
        with contextlib.suppress(*_FAULTS):
            self._stream.close()

    def _gone(self, what: str, error: Exception) -> DeviceError:
        return DeviceError(
            f"the port {what}: {error}",
            where=self.url,
            cure="the device was unplugged, its simulator ended, or somebody else reads the port",
        )

    def __enter__(self) -> Port:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_port(url: str, baud: int = 115200) -> Port:
    """Open *url*: ``/dev/ttyUSB0``, ``/dev/pts/7``, ``socket://host:port``, any URL of pyserial.

    Raises
    ------
    DeviceError
        The port is not there, may not be opened, or is held by somebody else.
    UsageError
        The URL is malformed.
    """
    if _route is not None:
        return Port(open_stream(_route(url), baud), url)
    return Port(open_stream(url, baud), url)


def open_stream(url: str, baud: int = 115200) -> serial.SerialBase:
    """The stream of :func:`open_port` alone, by no other way than *url*."""
    settings = {"baudrate": baud, "timeout": _POLL_S, "write_timeout": _WRITE_TIMEOUT_S}
    if "://" not in url:
        settings["exclusive"] = True
    try:
        return serial.serial_for_url(url, **settings)
    except ValueError as error:
        raise UsageError(
            f"not a port: {error}", where=url, cure="for instance /dev/ttyUSB0 or socket://host:port"
        ) from error
    except _FAULTS as error:
        raise DeviceError(
            f"the port cannot be opened: {error}",
            where=url,
            cure="is the target plugged in or running, is the port free, are you in the group dialout?",
        ) from error


_route: Callable[[str], str] | None = None


@contextlib.contextmanager
def routed(route: Callable[[str], str]) -> Iterator[None]:
    """Within, every port that this process opens is the one that *route* answers for its URL: `hil.faults.proxy`."""
    global _route
    before, _route = _route, route
    try:
        yield
    finally:
        _route = before
