"""Serial ports of attached boards: found by what stays the same after the next plugging in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from serial.tools import list_ports

from mico.errors import DeviceError

__all__ = ["UsbPort", "attached", "by_id", "find_port", "propose"]

_BY_ID = Path("/dev/serial/by-id")


class UsbPort(Protocol):
    """What pyserial tells of a port; None where it does not know."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    description: str


def attached() -> list[UsbPort]:
    """USB serial ports of this machine, by device path."""
    return sorted((port for port in list_ports.comports() if port.vid is not None), key=lambda port: str(port.device))


def by_id(device: str) -> str:
    """The path of *device* that stays the same after the next plugging in; empty where it has none now."""
    links = sorted(_BY_ID.iterdir()) if _BY_ID.is_dir() else []
    return next((str(link) for link in links if str(link.resolve()) == device), "")


def find_port(
    name: str, *, serial: str | None = None, usb: str | None = None, port: str | None = None,
    ports: Sequence[UsbPort] | None = None,
) -> str:  # fmt: skip
    """Device path of the board *name*, given by its USB serial number, vendor:product, or path.

    Raises
    ------
    DeviceError
        None is attached, or several are: nobody should flash the wrong one.
    """
    if port is not None:
        if not Path(port).exists():
            raise DeviceError(
                f"no port {port}", where=name, cure="plug the board in; `mico targets scan` lists what is"
            )
        return port
    known = attached() if ports is None else ports
    wanted = f"serial number {serial}" if serial is not None else f"USB id {usb}"
    found = [p for p in known if (p.serial_number == serial if serial is not None else _usb(p) == str(usb).lower())]
    if not found:
        there = ", ".join(f"{_usb(p)} serial {p.serial_number or 'none'}" for p in known) or "none"
        raise DeviceError(
            f"no board with {wanted} is attached; attached: {there}", where=name, cure="plug it in, or correct lab.toml"
        )
    if len(found) > 1:
        raise DeviceError(
            f"{len(found)} ports have {wanted}: {', '.join(p.device for p in found)}",
            where=name,
            cure="name one by port = its path in /dev/serial/by-id",
        )
    return found[0].device


def propose(ports: Sequence[UsbPort]) -> str:
    """Entries of lab.toml for *ports*, by serial number where each has one of its own."""
    entries = []
    for number, port in enumerate(ports):
        twins = [p for p in ports if p.serial_number == port.serial_number]
        link = by_id(port.device)
        if port.serial_number and len(twins) == 1:
            line = f"serial = {_quoted(port.serial_number)}"
        elif link:
            line = f"port = {_quoted(link)}"
        elif sum(_usb(p) == _usb(port) for p in ports) == 1:
            line = f'usb = "{_usb(port)}"'
        else:
            line = f"# {port.device} cannot be told from its twin: use another bridge, or a udev rule"
        told = " ".join(str(port.description).split())
        entries.append(
            f'[targets.board-{number}]  # {told}, {_usb(port)}, now {port.device}\nkind = "serial"\n{line}\n'
        )
    return "\n".join(entries)


def _usb(port: UsbPort) -> str:
    return f"{port.vid or 0:04x}:{port.pid or 0:04x}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
