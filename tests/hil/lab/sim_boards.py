"""The simulated SoC served as a board would be: on a port with a fixed path, or on TCP ports. Everything is real."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from hil.targets.sim_process import SimProcess
from hil.toolchain import build_boot_rom
from hil.verilate import build_soc


class Served(NamedTuple):
    """Where a simulator is reached; *reset* as lab.toml has it."""

    place: str
    reset: str | list[str]
    pid: int


@contextmanager
def on_port(folder: Path) -> Iterator[Served]:
    """A simulator whose pty has a path of its own, as udev gives one, and a command that resets it."""
    process = SimProcess([str(build_soc().path), "--boot-rom", str(build_boot_rom())], 60.0)
    path = folder / "usb-Simulated_SoC-if00"
    path.symlink_to(process.ready["pty"])
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_resets, args=(listener, process), daemon=True)
    thread.start()
    number = listener.getsockname()[1]
    command = f"exec 3<>/dev/tcp/127.0.0.1/{number}; read -r line <&3; test $line = done"
    try:
        yield Served(str(path), ["bash", "-c", command], process.pid)
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # accept() returns
        listener.close()
        process.close()
        thread.join(60)


def _resets(listener: socket.socket, process: SimProcess) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                process.request("reset")
                connection.sendall(b"done\n")


@contextmanager
def on_tcp() -> Iterator[Served]:
    """A simulator that serves its console and its control on two TCP ports."""
    command = [str(build_soc().path), "--boot-rom", str(build_boot_rom())]
    command += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield Served(ready["console"], ready["control"], process.pid)
        finally:
            process.kill()
