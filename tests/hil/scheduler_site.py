"""A Dask scheduler and its workers as processes of their own, for tests; and a target that fails on some workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from double_target import DoubleTarget

from hil.targets.base import Program
from mico.errors import DeviceError

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "MICO_TEST_TARGET_IS_BROKEN"


class Flaky(DoubleTarget):
    """The double; where the variable BROKEN is set it dies when it is flashed."""

    def flash(self, program: Program) -> None:
        if os.environ.get(BROKEN):
            raise DeviceError("the target died")
        super().flash(program)


class Site:
    """Processes that are started here, and killed in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.workers: dict[str, subprocess.Popen[str]] = {}
        """By their addresses."""
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        self.scheduler, self.address = self._start([*command, "--no-dashboard"], "Scheduler at:")

    def worker(self, *arguments: str, preface: str = "", **environment: str) -> str:
        """Start a worker and wait until it works: its address. *preface*: Python to run before the command."""
        code = f"{preface}\nfrom hil.cli import main\nmain()"
        command = [sys.executable, "-c", code, "worker", self.address, *arguments]
        process, address = self._start(command, " works for ", **environment)
        self.workers[address] = process
        return address

    def kill(self, address: str) -> None:
        """kill -9 of the worker at *address*."""
        process = self.workers.pop(address)
        process.send_signal(signal.SIGKILL)
        process.wait(60)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(60)

    def _start(self, command: list[str], mark: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        """The process, and the first address on the line that has *mark*."""
        log = self.folder / f"process-{len(self.processes)}.log"
        path = os.pathsep.join([str(ROOT / "tests" / "hil"), str(ROOT)])
        variables: dict[str, Any] = {**os.environ, "PYTHONPATH": path, **environment}
        with log.open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, text=True, env=variables, cwd=ROOT)
        self.processes.append(process)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            for line in log.read_text().splitlines():
                if mark in line:
                    return process, next(word for word in line.split() if word.startswith("tcp://"))
            time.sleep(0.1)
        raise AssertionError(f"{command} did not come up: {log.read_text()}")
