"""Errors of the product: every one says what is wrong, where, and the likely cure, and carries its exit code.

Exit codes: 0 ok; 1 a test or measurement failed; 2 usage; 3 device unavailable or locked (or a tool is missing);
4 flash or verify failed; 5 protocol error or time-out; 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ClusterError",
    "CompileError",
    "DeviceError",
    "FlashError",
    "GraphError",
    "MeasurementError",
    "MicoError",
    "ProtocolError",
    "ProtocolTimeout",
    "QuantError",
    "StoreError",
    "ToolError",
    "UsageError",
]


class MicoError(Exception):
    """Base of all errors that a user can meet.

    Parameters
    ----------
    what
        What went wrong, one sentence.
    where
        The file, line, module, layer, port or key concerned; empty when there is none.
    cure
        The likely cure; empty when unknown.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what = what
        self.where = where
        self.cure = cure
        text = what
        if where:
            text = f"{where}: {text}"
        if cure:
            text = f"{text} ({cure})"
        super().__init__(text)


class UsageError(MicoError):
    """Bad argument, configuration or input file."""

    exit_code = 2


class GraphError(UsageError):
    """The model cannot be traced or holds an operation that is not supported; names the module and line."""


class QuantError(UsageError):
    """A scheme or model cannot be turned into integers, for instance because an accumulator could overflow."""


class CompileError(UsageError):
    """A network cannot be mapped to an accelerator; names the layer."""


class StoreError(MicoError):
    """The measurement store cannot be read or written."""

    exit_code = 1


class MeasurementError(MicoError):
    """A run finished with a wrong or unusable result.

    Parameters
    ----------
    samples
        The raw laps in cycles, where there were any: they are kept with the attempt, to be looked at and never used.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cure: str = "", samples: Sequence[int] = ()) -> None:
        super().__init__(what, where=where, cure=cure)
        self.samples = tuple(samples)


class DeviceError(MicoError):
    """The target cannot be opened, is held by somebody else, or died."""

    exit_code = 3


class ClusterError(DeviceError):
    """A scheduler cannot be reached, or none of its workers can do what is needed; says nothing of the work itself."""


class ToolError(MicoError):
    """A program that is needed (compiler, simulator) is missing or failed."""

    exit_code = 3


class FlashError(MicoError):
    """Flashing failed or the device runs another image than the one flashed."""

    exit_code = 4


class ProtocolError(MicoError):
    """The device answered something that the protocol does not allow."""

    exit_code = 5


class ProtocolTimeout(ProtocolError):  # noqa: N818 - a time-out is its name
    """The device did not answer in time; says what was awaited and what arrived."""
