"""The verilated SoC as a server that somebody runs: console on one TCP port, control on a second one."""

from __future__ import annotations

from typing import Any

from hil.link.port import Port, open_port
from hil.targets.base import Program, Provenance
from hil.targets.console_target import ConsoleTarget
from hil.targets.control_link import ControlLink, split_address
from hil.toolchain import firmware_hash
from mico.errors import DeviceError, FlashError, MicoError, ProtocolError

__all__ = ["ServedSoc", "SocServer"]

_PARAMETERS = ("cpu", "ram_bytes", "ram_latency", "simd_version", "simd_lanes")


class ServedSoc:
    """What a served simulator says that it is.

    Attributes
    ----------
    hardware_hash, build_id, clock_hz, parameters
        As :class:`hil.verilate.SocBuild`.

    Raises
    ------
    ProtocolError
        *facts*, of a ready event or of an image's label, lack one of them.
    """

    def __init__(self, facts: dict[str, Any], where: str) -> None:
        try:
            self.hardware_hash = str(facts["hardware_hash"])
            self.build_id = str(facts["build_id"])
            self.clock_hz = int(facts["clock_hz"])
            self.parameters: dict[str, str | int] = {name: facts[name] for name in _PARAMETERS}
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(
                f"does not say what it simulates: {error!r} in {facts}", where=where, cure="an older simulator?"
            ) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServedSoc) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


class _ServedPort(Port):
    """A port that can be hung up and dialled again: bytes of before do not get through."""

    def __init__(self, url: str) -> None:
        super().__init__(open_port(url)._stream, url)

    def redial(self) -> None:
        self.close()
        self._stream = open_port(self.url)._stream


class SocServer(ConsoleTarget):
    """A simulated SoC behind two TCP ports. Same outputs, cycles and provenance as :class:`hil.targets.soc_sim.SocSim`.

    Parameters
    ----------
    console, control
        ``host:port`` of each.
    simd
        Kernels that programs are built with; default: what the SoC has, which is asked at once.
    timeout_s, infer_timeout_s
        As of :class:`hil.targets.soc_sim.SocSim`.
    """

    name = "soc-server"

    def __init__(
        self,
        *,
        console: str,
        control: str,
        simd: int | None = None,
        timeout_s: float = 20.0,
        infer_timeout_s: float = 900.0,
    ) -> None:
        super().__init__(timeout_s=timeout_s, infer_timeout_s=infer_timeout_s)
        self.console, self.control = console, control
        split_address(console)
        split_address(control)
        self._link: ControlLink | None = None
        self._served: ServedSoc | None = None
        self._wanted_simd = simd

    @property
    def simd(self) -> int:
        """Kernels that programs are built with."""
        return int(self._soc().parameters["simd_version"]) if self._wanted_simd is None else self._wanted_simd

    @simd.setter
    def simd(self, value: int) -> None:
        self._wanted_simd = value

    @property
    def asks(self) -> bool:
        """Whether :meth:`provenance` has to reach the server."""
        return self._served is None

    def provenance(self, program: Program) -> Provenance:
        """As :meth:`Target.provenance`: the kind is that of the local simulator, which is the same hardware."""
        soc = self._soc()
        return Provenance(
            kind="soc-sim",
            parameters=soc.parameters,
            hardware=soc.hardware_hash,
            firmware=firmware_hash(simd=self.simd),
            program=program.digest,
            clock_hz=soc.clock_hz,
        )

    def stats(self) -> dict[str, Any]:
        """What the simulator counts since its start: cycles, seconds, cpu_seconds (hil/README.md)."""
        return self._control().request("stats")

    # ---- what ConsoleTarget asks

    def _connect(self) -> Port:
        self._link = ControlLink(self.control, self.timeout_s, self._ended)
        found = ServedSoc(self._link.ready, self.control)
        if self._served is not None and found != self._served:
            raise DeviceError(
                f"this is another simulator than before: build {found.build_id}, not {self._served.build_id}",
                where=self.control,
                cure="start again: what is measured on it belongs to other measurements",
            )
        self._served = found
        # Frees the console of a host that is gone without a word, and makes this one an owner.
        self._link.request("hangup")
        return _ServedPort(f"socket://{self.console}")

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _restart(self, port: Port) -> None:
        control = self._control()
        control.request("hangup")
        control.request("reset")
        assert isinstance(port, _ServedPort)
        port.redial()
        port.drain(limit_s=self.timeout_s)  # the loader's greeting

    def _recognise(self, info: dict[str, str]) -> None:
        expected = self._soc().build_id[:8]
        if info.get("build-id") != expected:
            raise FlashError(
                f"the simulator's info block says build {info.get('build-id', 'missing')}, not {expected}",
                where=self.console,
                cure="console and control port belong to different simulators",
            )

    def _watch(self) -> None:
        if self._link is not None:
            self._link.check()

    # ---- details

    def _ended(self, within_s: float) -> MicoError | None:  # noqa: ARG002
        """What is known of the simulator's end, or becomes known in that time."""
        return None

    def _soc(self) -> ServedSoc:
        if self._served is None:
            link = ControlLink(self.control, self.timeout_s, self._ended)
            link.close()
            self._served = ServedSoc(link.ready, self.control)
        return self._served

    def _control(self) -> ControlLink:
        self._opened()
        assert self._link is not None
        return self._link
