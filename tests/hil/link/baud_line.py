"""The boot loader as a process at the end of a simulated serial line: the line has the device's rate, and noise."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path

from hil.faults.proxy import Proxy
from hil.faults.script import Noise, Script
from tests.firmware.host_build import host_loader


@contextlib.contextmanager
def baud_line(ram: Path, *, seed: int = 0, noise: Noise | None = None, fixed: bool = False) -> Iterator[Proxy]:
    """A loader at 115,200 baud, which writes its memory to *ram* when an image starts; ``url`` is the host's end.

    With *fixed* it keeps that rate.
    """
    master, slave = os.openpty()
    tty.setraw(slave)
    read_end, write_end = os.pipe()
    command = [str(host_loader()), str(ram)] + ([] if fixed else [str(write_end)])
    process = subprocess.Popen(command, stdin=master, stdout=master, pass_fds=[write_end])
    try:
        script = Script(seed, "noise", noise or Noise())
        with Proxy(os.ttyname(slave), script, baud=115_200, notices=read_end) as proxy:
            yield proxy
    finally:
        process.kill()
        process.wait()
        for descriptor in (slave, master, read_end, write_end):
            os.close(descriptor)
