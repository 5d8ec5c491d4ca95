"""A board on a USB serial port of this machine."""

from __future__ import annotations

import os
import time
from typing import Any

from hil.link.flash import DEFAULT_BAUD
from hil.link.port import Port, open_port
from hil.targets.board import Board
from hil.usb_ports import find_port
from mico.errors import DeviceError, UsageError

__all__ = ["SerialBoard"]


class SerialBoard(Board):
    """A board on a serial port of this machine.

    Parameters
    ----------
    serial, usb, port
        One of them: the USB serial number of its bridge, ``vendor:product``, a path that stays the same.
    baud
        Of the console.
    flash_baud
        To be agreed upon with the boot loader for the image; the console must be at 115,200.
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
        flash_baud: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        if flash_baud is not None and baud != DEFAULT_BAUD:
            raise UsageError(
                f"baud {baud} and flash_baud {flash_baud}",
                where=name,
                cure=f"another rate for the image is agreed upon at {DEFAULT_BAUD} baud: leave one of them out",
            )
        self.flash_baud = flash_baud
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
