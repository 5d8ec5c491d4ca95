"""A board whose console somebody serves on a TCP port."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

from hil.link.port import Port, open_port
from hil.targets.board import Board
from mico.errors import DeviceError, ProtocolError

__all__ = ["TcpBoard"]

_LOOK_S = 2.0
_MAX_LINE = 65536


class TcpBoard(Board):
    """A board whose console somebody serves on a TCP port.

    Parameters
    ----------
    address
        ``host:port`` of the console.
    reset
        A command, or ``host:port`` of a second port: it takes the line ``reset``, resets, closes the console's
        connection or leaves it, and answers ``{"event": "reset"}``, as the simulator does (hil/README.md).
    options
        As :class:`Board`.
    """

    def __init__(self, name: str, *, address: str, reset: Sequence[str] | str | None = None, **options: Any) -> None:
        by_port = isinstance(reset, str)
        super().__init__(name, reset=None if by_port else reset, **options)
        self.address = address
        self.reset_address = reset if isinstance(reset, str) else None

    @property
    def restarts(self) -> bool:
        return self.reset_address is not None or super().restarts

    def trouble(self) -> str:
        host, _, number = (self.reset_address or self.address).rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(number)), _LOOK_S).close()
        except OSError as error:
            return f"{host}:{number} does not answer: {error}"
        return ""

    def _place(self) -> str:
        return self.address

    def _open_port(self) -> Port:
        return open_port(f"socket://{self.address}")

    def _reset_board(self) -> None:
        if self.reset_address is None:
            super()._reset_board()
            return
        self._opened().close()  # what was under way on that connection is gone with it
        host, _, number = self.reset_address.rpartition(":")
        where = f"{self.name}, {self.reset_address}"
        events: list[str] = []
        try:
            with socket.create_connection((host.strip("[]"), int(number)), self.reset_timeout_s) as connection:
                connection.sendall(b"reset\n")
                with connection.makefile("r", encoding="utf-8", errors="replace") as lines:
                    while "reset" not in events and (line := lines.readline(_MAX_LINE)):
                        events.append(_event(line))
        except OSError as error:
            raise DeviceError(
                f"the reset port does not answer: {error}", where=where, cure="is what serves the board running?"
            ) from error
        if "reset" not in events:
            raise ProtocolError(f"awaited the event 'reset', arrived {events[-3:]}", where=where)
        self._port = self._open_port()


def _event(line: str) -> str:
    """Name of the event in *line*; the line itself where it is none."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line.strip()
