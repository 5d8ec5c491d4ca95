"""The verilated SoC as a local process with its console on a pty: opened, flashed and read as a board would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hil.link.port import Port, open_port
from hil.targets.base import Program, Provenance
from hil.targets.console_target import ConsoleTarget
from hil.targets.sim_process import SimProcess
from hil.toolchain import build_boot_rom, firmware_hash
from hil.verilate import DEFAULT_CLOCK_HZ, DEFAULT_RAM_BYTES, SocBuild, build_soc, describe_soc
from mico.errors import DeviceError, FlashError

__all__ = ["SocSim"]


class SocSim(ConsoleTarget):
    """The simulated SoC.

    Parameters
    ----------
    ram_latency, cpu, ram_bytes, simd, lanes, netlist, clock_hz, pgo
        As of :func:`hil.verilate.build_soc`.
    timeout_s
        Longest wait for the simulator or the console, inferences aside.
    infer_timeout_s
        Longest wait for one ``infer`` command. A simulator that dies or hangs meanwhile is noticed within *timeout_s*.
    max_cycles
        The simulator ends there; 0: never.
    """

    name = "soc-sim"

    def __init__(
        self,
        *,
        ram_latency: int = 0,
        cpu: str = "vexriscv",
        ram_bytes: int = DEFAULT_RAM_BYTES,
        simd: int = 2,
        lanes: int = 4,
        netlist: Path | None = None,
        clock_hz: int = DEFAULT_CLOCK_HZ,
        pgo: bool = False,
        timeout_s: float = 20.0,
        infer_timeout_s: float = 900.0,
        max_cycles: int = 0,
    ) -> None:
        super().__init__(simd=simd, timeout_s=timeout_s, infer_timeout_s=infer_timeout_s)
        self.ram_latency = ram_latency
        self.cpu = cpu
        self.ram_bytes = ram_bytes
        self.lanes = lanes
        self.netlist = netlist
        self.clock_hz = clock_hz
        self.pgo = pgo
        self.max_cycles = max_cycles
        self._build: SocBuild | None = None
        self._process: SimProcess | None = None

    def provenance(self, program: Program) -> Provenance:
        build = self._build or describe_soc(**self._parameters())
        return Provenance(
            kind=self.name,
            parameters=build.parameters,
            hardware=build.hardware_hash,
            firmware=firmware_hash(simd=self.simd),
            program=program.digest,
            clock_hz=build.clock_hz,
        )

    def stats(self) -> dict[str, Any]:
        """What the simulator counts since its start: cycles, seconds, cpu_seconds (hil/README.md)."""
        return self._simulator().request("stats")

    @property
    def pid(self) -> int:
        """Process id of the simulator."""
        return self._simulator().pid

    # ---- what ConsoleTarget asks

    def _connect(self) -> Port:
        build = self._soc()
        command = [str(build.path), "--boot-rom", str(build_boot_rom())]
        if self.max_cycles:
            command += ["--max-cycles", str(self.max_cycles)]
        self._process = SimProcess(command, self.timeout_s)
        ready = self._process.ready
        if ready.get("build_id") != build.build_id:
            raise DeviceError(
                f"the simulator says it is build {ready.get('build_id')}, not {build.build_id}",
                where=str(build.path),
                cure="remove build/ and build again",
            )
        return open_port(str(ready["pty"]))

    def _disconnect(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _restart(self, port: Port) -> None:
        self._simulator().request("reset")
        port.drain(limit_s=self.timeout_s)  # what the program before still had to say, and the loader's greeting

    def _recognise(self, info: dict[str, str]) -> None:
        expected = self._soc().build_id[:8]
        if info.get("build-id") != expected:
            raise FlashError(
                f"the simulator's info block says build {info.get('build-id', 'missing')}, not {expected}",
                where=str(self._soc().path),
                cure="remove build/ and build again",
            )

    def _watch(self) -> None:
        if self._process is not None:
            self._process.check()

    # ---- details

    def _soc(self) -> SocBuild:
        if self._build is None:
            self._build = build_soc(**self._parameters())
        return self._build

    def _simulator(self) -> SimProcess:
        self._opened()
        assert self._process is not None
        return self._process

    def _parameters(self) -> dict[str, Any]:
        names = ("cpu", "ram_latency", "ram_bytes", "simd", "lanes", "netlist", "clock_hz", "pgo")
        return {name: getattr(self, name) for name in names}
