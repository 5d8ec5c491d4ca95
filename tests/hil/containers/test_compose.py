"""compose.yaml brings up a lab and finishes a campaign: four SoCs, BitFusion, PostgreSQL, all in containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator

import docker
import numpy as np
import pytest
from docker.errors import NotFound

from hil.images import Image, build_image
from hil.lab import load_lab
from hil.targets.bitfusion import BitFusionSim
from hil.targets.bitfusion_container import BitFusionContainer
from hil.targets.bitfusion_server import BitFusionServer
from hil.targets.box import LINGER_S
from hil.targets.kinds import make_from
from hil.verilate import ROOT
from mico.errors import DeviceError
from tests.mico.codegen.random_models import random_model

COMPOSE = ROOT / "docker" / "compose.yaml"


def command() -> list[str] | None:
    """docker compose, or Debian's docker-compose."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


class Project:
    """A project of compose of its own: its volumes and containers are gone at the end."""

    def __init__(self, program: list[str], images: dict[str, Image]) -> None:
        self.name = f"mico-test-{uuid.uuid4().hex[:8]}"
        self.images = images
        self._words = [*program, "-f", str(COMPOSE), "-p", self.name]
        named = {f"MICO_{name.upper()}_IMAGE": image.name for name, image in images.items()}
        self._env = {**os.environ, **named, "MICO_BUDGET": "6"}

    def __call__(self, *words: str, timeout_s: float = 300.0) -> str:
        done = subprocess.run(
            [*self._words, *words], env=self._env, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def address(self, service: str, port: int) -> str:
        return self("port", service, str(port)).strip()


@pytest.fixture(scope="module")
def project(engine: docker.DockerClient, soc_image: Image) -> Iterator[Project]:
    program = command() if shutil.which("docker") else None
    if program is None:
        pytest.skip("neither docker compose nor docker-compose is installed")
    images = {name: build_image(engine, name, say=print) for name in ("bitfusion", "bench", "database")}
    lab = Project(program, {**images, "soc": soc_image})
    try:
        yield lab
    finally:
        lab("down", "--volumes", "--timeout", "5")


def test_the_lab_of_compose_is_a_lab_that_the_bench_understands():
    lab = load_lab(ROOT / "docker" / "lab.toml")
    assert lab.names() == ["soc-0", "soc-1", "soc-2", "soc-3", "bitfusion"]
    text = COMPOSE.read_text()
    for name in lab.names():
        assert f"  {name}:" in text


@pytest.mark.slow  # builds every image: PyTorch alone is 200 MB
@pytest.mark.timeout(3000)
def test_a_campaign_finishes_on_four_socs_and_its_measurements_are_in_the_database(project: Project):
    project("up", "--abort-on-container-exit", "--exit-code-from", "campaign", timeout_s=2000)
    project("up", "--detach", "database")
    listed = project(
        "run",
        "--rm",
        "--no-deps",
        "-e",
        "COLUMNS=200",
        "campaign",
        "results",
        "--store=postgresql://mico@database/mico",
        timeout_s=120,
    )
    assert "lenet5" in listed
    assert "done" in listed


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_bitfusion_in_a_container_gives_the_outputs_and_cycles_of_the_local_simulation(project: Project):
    project("up", "--detach", "bitfusion", timeout_s=600)
    builder = random_model(3)
    model, x = builder.build(), builder.inputs(1)
    there = BitFusionServer(address=project.address("bitfusion", 5002), timeout_s=60.0)
    with there, BitFusionSim() as here:
        program = here.build(model)
        for target in (there, here):
            target.flash(program)
        assert there.provenance(program).parameters == here.provenance(program).parameters
        one, other = there.measure(x, laps=1), here.measure(x, laps=1)
        assert np.array_equal(one.outputs, model.run(x))
        assert (one.cycles, one.layers) == (other.cycles, other.layers)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nothing_of_the_lab_listens_beyond_the_loopback_interface_or_runs_as_root(
    project: Project, engine: docker.DockerClient
):
    project("up", "--detach", timeout_s=600)
    containers = engine.containers.list(filters={"label": f"com.docker.compose.project={project.name}"})
    assert len(containers) >= 6
    for container in containers:
        config, host = container.attrs["Config"], container.attrs["HostConfig"]
        assert config["User"] in ("65532:65532", "postgres"), container.name
        assert host["Memory"] > 0, container.name
        published = [port for ports in container.ports.values() for port in ports or []]
        assert {port["HostIp"] for port in published} <= {"127.0.0.1"}, container.name


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_bitfusion_in_a_container_of_its_own(project: Project, engine: docker.DockerClient):
    builder = random_model(4)
    model, x = builder.build(), builder.inputs(1)
    target = make_from("container", "array", {"image": project.images["bitfusion"].name, "memory": "1g"})
    with target, BitFusionSim() as here:
        assert isinstance(target, BitFusionContainer)
        container = target.container_id
        program = target.build(model)
        for each in (target, here):
            each.flash(program)
        assert np.array_equal(target.infer(x), model.run(x))
        assert target.measure(x, laps=1).cycles == here.measure(x, laps=1).cycles
        time.sleep(2 * LINGER_S)  # it is held
        engine.api.kill(container)
        with pytest.raises(DeviceError, match="exit code 137"):
            target.infer(x)
    with pytest.raises(NotFound):
        engine.containers.get(container)
