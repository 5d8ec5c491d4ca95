"""A board on a USB serial port of this machine."""

from __future__ import annotations

import os
import time
from typing import Any

from hil.link.port import Port, open_port
from hil.targets.board import Board
from hil.usb_ports import find_port
from mico.errors import DeviceError

__all__ = ["SerialBoard"]


class SerialBoard(Board):
    """A board on a serial port of this machine.

    Parameters
    ----------
    serial, usb, port
        One of them: the USB serial number of its bridge, ``vendor:product``, a path that stays the same.
    baud
        Of the console.
    options
        As :class:`Board`.
    """

    def __init__(
        self,
        name: str,
        *,
        serial: str | None = None,
        usb: str | None = None,
        port: str | None = None,
        baud: int = 115200,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.serial, self.usb, self.device = serial, usb, port
        self.baud = baud

    def trouble(self) -> str:
        try:
            place = self._place()
        except DeviceError as error:
            return str(error)
        return "" if os.access(place, os.R_OK | os.W_OK) else f"{place} may not be opened: join the group dialout"

    def _place(self) -> str:
        return find_port(self.name, serial=self.serial, usb=self.usb, port=self.device)

    def _open_port(self) -> Port:
        deadline = time.monotonic() + (self.power_timeout_s if self._powered else 0.0)
        while True:  # a bridge that was powered with the board takes a while to appear
            try:
                return open_port(self._place(), self.baud)
            except DeviceError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)
