"""The simulated BitFusion accelerator as a server that somebody runs: jobs go there, reports come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hil.harness.bf_server import exchange
from hil.harness.bf_sim import Build, Job, Memory, Report
from hil.targets.base import Program, Provenance
from hil.targets.bitfusion import BitFusionSim
from hil.targets.control_link import split_address
from mico.codegen.bitfusion.machine import Machine
from mico.errors import DeviceError, ProtocolError

__all__ = ["BitFusionServer"]


class BitFusionServer(BitFusionSim):
    """The accelerator behind a TCP port. Same outputs, cycles and provenance as :class:`BitFusionSim`.

    Parameters
    ----------
    address
        ``host:port``; it is asked which machine it simulates.
    memory, cycle_limit
        As of :class:`BitFusionSim`.
    timeout_s
        Longest wait for the server to be reached.
    infer_timeout_s
        Longest wait for the reports of one request.
    """

    def __init__(
        self,
        *,
        address: str,
        memory: Memory | None = None,
        cycle_limit: int = 200_000_000,
        timeout_s: float = 20.0,
        infer_timeout_s: float = 900.0,
    ) -> None:
        self._facts: dict[str, Any] | None = None
        self._machine: Machine | None = None
        super().__init__(memory=memory, build=Build.FUNCTIONAL, cycle_limit=cycle_limit)
        self._machine = None
        split_address(address)
        self.address = address
        self.timeout_s, self.infer_timeout_s = timeout_s, infer_timeout_s

    @property
    def machine(self) -> Machine:
        """Sizes of the accelerator, asked once."""
        if self._machine is None:
            self._machine = Machine(**self._told()["machine"])
        return self._machine

    @machine.setter
    def machine(self, value: Machine) -> None:
        self._machine = value

    @property
    def asks(self) -> bool:
        """Whether :meth:`provenance` has to reach the server."""
        return self._facts is None

    def open(self) -> None:
        found = self._ask(None, self.timeout_s)
        if self._facts is not None and found != self._facts:
            raise DeviceError(
                "this is another simulation than before",
                where=self.address,
                cure="start again: what is measured on it belongs to other measurements",
            )
        assert isinstance(found, dict)
        self._facts = found
        super().open()

    def provenance(self, program: Program) -> Provenance:
        """As :meth:`Target.provenance`: hardware is what the server says that it simulates."""
        own, told = super().provenance(program), self._told()
        return Provenance(own.kind, own.parameters, told["hardware_hash"], own.firmware, own.program, own.clock_hz)

    # ---- details

    def _simulate(self, jobs: Sequence[Job]) -> list[Report]:
        reports = self._ask(jobs, self.infer_timeout_s)
        assert isinstance(reports, list)
        return reports

    def _told(self) -> dict[str, Any]:
        if self._facts is None:
            found = self._ask(None, self.timeout_s)
            assert isinstance(found, dict)
            self._facts = found
        missing = {"hardware_hash", "machine"} - self._facts.keys()
        if missing:
            raise ProtocolError(f"does not say its {', '.join(sorted(missing))}", where=self.address)
        return self._facts

    def _ask(self, jobs: Sequence[Job] | None, timeout_s: float) -> dict[str, Any] | list[Report]:
        try:
            return exchange(split_address(self.address), jobs, timeout_s)
        except OSError as error:
            raise DeviceError(
                f"the simulation is gone or does not answer: {error}",
                where=self.address,
                cure="is it running, and is this its port?",
            ) from error
