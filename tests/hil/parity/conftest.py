"""The targets of the suite: the simulated SoC on a pty, behind TCP ports, in a container where an engine runs; and
every board of the lab file that MICO_LAB names."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from hil.lab import VARIABLE, load_lab
from hil.targets.base import Run
from hil.targets.board import Board
from hil.targets.console_target import ConsoleTarget
from hil.targets.soc_server import SocServer
from hil.targets.soc_sim import SocSim
from tests.hil.containers.conftest import engine, soc_image  # noqa: F401 - fixtures
from tests.hil.lab.sim_boards import on_tcp
from tests.hil.parity.cases import CASES, Case, measure


def boards() -> list[str]:
    """Serial and TCP targets of the lab file that MICO_LAB names."""
    if not os.environ.get(VARIABLE):
        return []
    lab = load_lab()
    return [name for name in lab.names() if isinstance(lab.target(name), Board)]


@pytest.fixture(scope="session", params=["pty", "tcp", pytest.param("container", marks=pytest.mark.slow), *boards()])
def target(request: pytest.FixtureRequest) -> Iterator[ConsoleTarget]:
    """Each target, open."""
    kind = request.param
    if kind == "pty":
        with SocSim(timeout_s=60.0) as sim:
            yield sim
    elif kind == "tcp":
        with on_tcp() as served:
            assert isinstance(served.reset, str)
            with SocServer(console=served.place, control=served.reset, timeout_s=60.0) as server:
                yield server
    elif kind == "container":
        request.getfixturevalue("soc_image")  # skips where no engine runs
        from hil.targets.container import ContainerTarget

        with ContainerTarget(name="parity", image="soc", timeout_s=60.0) as container:
            yield container
    else:
        board = load_lab().target(kind)
        assert isinstance(board, ConsoleTarget)
        with board:
            yield board


@pytest.fixture(scope="session")
def reference() -> dict[str, Run]:
    """What each case takes on the simulated SoC on a pty, which the others must agree with."""
    with SocSim(timeout_s=60.0) as sim:
        return {case.name: measure(sim, case) for case in CASES}


@pytest.fixture(params=[CASES[0], pytest.param(CASES[1], marks=pytest.mark.slow)], ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param
