"""What a piece of work may leave behind by mistake: processes, open files, threads."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from hil.processes import born

__all__ = ["Leftovers", "children"]


def children(pid: int | None = None) -> dict[int, str]:
    """Living processes below *pid* (default: this one), each with its command line."""
    root = os.getpid() if pid is None else pid
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(text.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    for child in parents:
        above = child
        while above in parents and above != root:
            above = parents[above]
        if above == root and child != root and born(child):
            try:
                found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return found


def _open_files() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


@dataclass(frozen=True)
class Leftovers:
    """Processes, files and threads at one moment, to be compared with a later one."""

    processes: frozenset[int]
    files: int
    threads: frozenset[int]

    @classmethod
    def now(cls) -> Leftovers:
        threads = frozenset(thread.ident or 0 for thread in threading.enumerate())
        return cls(frozenset(children()), len(_open_files()), threads)

    def grown(self, patience_s: float = 2.0) -> tuple[str, ...]:
        """What there is more than at this moment; waits up to *patience_s* for it to go."""
        deadline = time.monotonic() + patience_s
        while True:
            gc.collect()  # what only its own cycle refers to is gone, but for the collector's mood
            found = [f"process {pid}: {line}" for pid, line in children().items() if pid not in self.processes]
            files = _open_files()
            if len(files) > self.files:
                found.append(f"{len(files) - self.files} open files more: {sorted(files.values())[-8:]}")
            found += [f"thread {t.name}" for t in threading.enumerate() if (t.ident or 0) not in self.threads]
            if not found or time.monotonic() > deadline:
                return tuple(found)
            time.sleep(0.01)
