"""Fixtures: test programs compiled for the boot ROM, and the simulator process with its console."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

PROGRAMS = Path(__file__).resolve().parent / "programs"
CFLAGS = "-march=rv32im -misa-spec=2.2 -mabi=ilp32 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -nostartfiles"


class Simulator:
    """A soc_sim process; its console is opened with pyserial, as a board's is."""

    def __init__(self, executable: Path, boot_rom: Path, *options: str) -> None:
        command = [str(executable), "--boot-rom", str(boot_rom), *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.ready = self.event()
        assert self.ready["event"] == "ready"
        self.console = serial.serial_for_url(self.ready["pty"], 115200, timeout=20)

    def event(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, f"no event; exit code {self.process.poll()}"
        return json.loads(line)

    def command(self, name: str) -> dict[str, Any]:
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return self.event()

    def read_until(self, end: bytes) -> bytes:
        text = self.console.read_until(end)
        assert text.endswith(end), f"console said {text!r}"
        return text

    def restart(self) -> None:
        """Reset: everything that can be read from now on is from the first cycle on."""
        assert self.command("reset") == {"event": "reset"}

    def cpu_seconds(self) -> float:
        return self.command("stats")["cpu_seconds"]

    def close(self) -> None:
        self.console.close()
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture(scope="session")
def compile_program(tmp_path_factory) -> Callable[[str], Path]:
    """programs/NAME.c as a $readmemh image for the boot ROM."""
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        pytest.skip("needs riscv64-unknown-elf-gcc: apt-get install gcc-riscv64-unknown-elf")
    folder = tmp_path_factory.mktemp("programs")

    def compile_one(name: str) -> Path:
        image, elf = folder / f"{name}.hex", folder / f"{name}.elf"
        if not image.is_file():
            sources = [str(PROGRAMS / "start.S"), str(PROGRAMS / f"{name}.c")]
            link = ["-T", str(PROGRAMS / "rom.ld"), "-lgcc", "-o", str(elf)]
            subprocess.run(["riscv64-unknown-elf-gcc", *CFLAGS.split(), *sources, *link], check=True)
            objcopy = ["riscv64-unknown-elf-objcopy", "-O", "verilog", "--verilog-data-width=4"]
            subprocess.run([*objcopy, str(elf), str(image)], check=True)
        return image

    return compile_one


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Starts simulators; none outlives its test."""
    started: list[Simulator] = []

    def start(executable: Path, boot_rom: Path, *options: str) -> Simulator:
        started.append(Simulator(executable, boot_rom, *options))
        return started[-1]

    yield start
    for simulator in started:
        simulator.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], None]:
    """Waits until a condition holds; fails after the time given in seconds."""

    def wait(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "the condition never held"
            time.sleep(0.02)

    return wait
