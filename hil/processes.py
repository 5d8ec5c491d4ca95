"""Which process it is: pids are used again, so that one is known by its pid and the time it was started."""

from __future__ import annotations

from pathlib import Path

__all__ = ["born"]


def born(pid: int) -> int:
    """Start of a process of this machine in clock ticks since boot; 0 if there is none, or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])
