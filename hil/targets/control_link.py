"""The second port of a simulator that is a server: commands, and the events that answer them (hil/README.md)."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

from mico.errors import DeviceError, MicoError, ProtocolError, ProtocolTimeout, UsageError

__all__ = ["ControlLink", "split_address"]

_RETRY_S = 0.05
_END_S = 3.0  # a connection may break a while before it is known why


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``; UsageError where it is none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"not an address: {address!r}", cure="host:port, for instance 127.0.0.1:5001")
    return host.strip("[]"), int(port)


class ControlLink:
    """A connection to the control port.

    Parameters
    ----------
    address
        ``host:port``.
    timeout_s
        Longest wait for an event, and for the port to be there.
    why
        Answers what is known of the simulator's end, or None, within so many seconds; its error is raised instead of
        the connection's.

    Raises
    ------
    DeviceError
        Nobody listens there within *timeout_s*.
    ProtocolTimeout
        No ready event within *timeout_s*.
    """

    def __init__(self, address: str, timeout_s: float, why: Callable[[float], MicoError | None]) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._why = why
        self._received = b""
        self._patience_s = 0.0
        self._socket, self.ready = self._connect()
        self._patience_s = _END_S

    def request(self, command: str) -> dict[str, Any]:
        """Send *command* and wait for the event of that name."""
        deadline = time.monotonic() + self.timeout_s
        try:
            self._socket.settimeout(self.timeout_s)
            self._socket.sendall(f"{command}\n".encode())
        except OSError as error:
            raise self._gone(str(error)) from error
        while True:
            event = self._event(command, deadline)
            if event.get("event") == command:
                return event
            if event.get("event") == "limit":
                raise DeviceError(
                    f"the simulator reached its limit of {event.get('cycles')} cycles",
                    where=self.address,
                    cure="a program that hangs, or raise max_cycles",
                )
            if event.get("event") != "abandoned":
                raise ProtocolError(f"awaited the event {command!r}, arrived {event}", where=self.address)

    def check(self) -> None:
        """Raise DeviceError if the simulator has ended, ProtocolTimeout if it does not answer."""
        self.request("stats")

    def close(self) -> None:
        """Safe to call twice."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _connect(self) -> tuple[socket.socket, dict[str, Any]]:
        """The connection and the ready event; a container's port may be answered before its simulator is up."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                self._socket = socket.create_connection(split_address(self.address), self.timeout_s)
                self._received = b""
                return self._socket, self.request("ready")
            except OSError as error:
                cause: MicoError = self._why(0.0) or DeviceError(
                    f"nobody answers at its control port: {error}",
                    where=self.address,
                    cure="is the simulator running, and is this its second port?",
                )
            except DeviceError as error:
                self.close()
                cause = error
            except BaseException:
                self.close()
                raise
            if self._why(0.0) is not None or time.monotonic() >= deadline:
                raise cause
            time.sleep(_RETRY_S)

    def _event(self, awaited: str, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._received:
            try:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                data = self._socket.recv(4096)
            except TimeoutError:
                raise ProtocolTimeout(
                    f"awaited the event {awaited!r} of the simulator for {self.timeout_s:g} s",
                    where=self.address,
                    cure="the simulator is stopped or hung, or the machine is overloaded",
                ) from None
            except OSError as error:
                raise self._gone(str(error)) from error
            if not data:
                raise self._gone("it closed the connection")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise ProtocolError(f"awaited the event {awaited!r}, arrived {line[:200]!r}", where=self.address)
        return event

    def _gone(self, what: str) -> MicoError:
        return self._why(self._patience_s) or DeviceError(
            f"the simulator is gone: {what}", where=self.address, cure="it ended, or the network between was lost"
        )
