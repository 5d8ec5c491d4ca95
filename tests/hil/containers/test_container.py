"""Containers of the simulated SoC as targets, on the real engine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import docker
import numpy as np
import pytest
from docker.errors import NotFound

from hil.engine import reap
from hil.images import Image
from hil.targets.container import LINGER_S, ContainerTarget
from hil.targets.kinds import make_from
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from hil.verilate import ROOT
from mico.errors import DeviceError, ProtocolTimeout
from tests.hil.targets.programs import inputs, lenet5, picture

pytestmark = pytest.mark.usefixtures("soc_image")


def exists(engine: docker.DockerClient, container: str) -> bool:
    try:
        engine.containers.get(container)
    except NotFound:
        return False
    return True


def is_gone(engine: docker.DockerClient, container: str, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while exists(engine, container) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not exists(engine, container)


@pytest.mark.parametrize("bits", [(8, 8), (1, 4)])
def test_outputs_and_every_cycle_are_those_of_the_local_simulator(bits: tuple[int, int]):
    model = lenet5(*bits)
    x = inputs(model, 2, seed=1)
    with ContainerTarget(timeout_s=60.0) as target, SocSim(timeout_s=60.0) as local:
        program = target.build(model)
        for each in (target, local):
            each.flash(program)
        assert np.array_equal(target.infer(x), model.run(x))
        here, there = local.measure(x), target.measure(x)
        assert there.layers == here.layers
        assert (there.cycles, there.samples) == (here.cycles, here.samples)
        assert target.counts() == local.counts()


def test_the_image_says_the_hardware_that_is_simulated_and_the_container_the_same(soc_image: Image):
    program = build_program(picture())
    target = ContainerTarget()
    closed = target.provenance(program)
    with target:
        assert target.provenance(program) == closed
    assert closed.hardware == soc_image.description["hardware_hash"]
    local = SocSim().provenance(program)
    assert closed.parameters == local.parameters
    # The compiler is part of what was built: in the image it may be another one than here.
    assert (closed.hardware == local.hardware) == (closed.key() == local.key())


def test_it_is_limited_and_has_no_privileges_and_listens_on_the_loopback_only(engine: docker.DockerClient):
    target = make_from("container", "box-0", {"image": "soc", "cpus": 0.5, "memory": "64m", "timeout_s": 60.0})
    assert isinstance(target, ContainerTarget)
    with target:
        facts = engine.api.inspect_container(target.container_id)
        host = facts["HostConfig"]
        assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 64 << 20, 64 << 20)
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["Privileged"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert facts["Config"]["User"] == "65532:65532"
        published = [port for ports in facts["NetworkSettings"]["Ports"].values() for port in ports]
        assert {port["HostIp"] for port in published} == {"127.0.0.1"}
        assert facts["Config"]["Labels"]["mico.target"] == "box-0"
        top = engine.api.top(target.container_id, ps_args="-eo pid,uid,comm")
        assert {row[1] for row in top["Processes"]} == {"65532"}


@pytest.mark.slow
def test_the_cpu_limit_is_felt():
    """A tenth of a CPU: what a whole one simulates in a second takes several."""
    model = lenet5(8, 8)
    x, program = inputs(model, 1, seed=2), build_program(model)
    rates = []
    for cpus in (1.0, 0.1):
        with ContainerTarget(cpus=cpus, timeout_s=120.0) as target:
            target.flash(program)
            before = target.stats()
            target.measure(x, laps=5)
            after = target.stats()
            rates.append((after["cycles"] - before["cycles"]) / (after["seconds"] - before["seconds"]))
    assert rates[1] < rates[0] / 2


def test_the_engine_sees_that_it_is_healthy(engine: docker.DockerClient):
    with ContainerTarget(timeout_s=60.0) as target:
        deadline, state = time.monotonic() + 60, ""
        while state != "healthy" and time.monotonic() < deadline:
            state = engine.api.inspect_container(target.container_id)["State"]["Health"]["Status"]
            time.sleep(0.5)
        assert state == "healthy"


def test_a_container_that_is_killed_within_an_inference_is_an_error_with_its_last_words(engine: docker.DockerClient):
    model = lenet5(8, 8)
    with ContainerTarget(timeout_s=60.0) as target:
        target.flash(build_program(model))
        container = target.container_id
        killer = threading.Timer(1.0, lambda: engine.api.kill(container))
        killer.start()
        started = time.monotonic()
        with pytest.raises(DeviceError, match="exit code 137") as caught:
            target.measure(inputs(model, 1, seed=0), laps=200)
        assert time.monotonic() - started < 40
        assert '"event": "ready"' in str(caught.value)
        killer.join()
        target.open()  # a new one
        target.flash(build_program(model))
    assert is_gone(engine, container, 5)


def test_a_container_that_stands_still_is_an_error_within_the_timeout(engine: docker.DockerClient):
    model = picture()
    with ContainerTarget(timeout_s=3.0) as target:
        target.flash(build_program(model))
        container = target.container_id
        engine.api.pause(container)
        started = time.monotonic()
        with pytest.raises((DeviceError, ProtocolTimeout)):
            target.infer(inputs(model, 1, seed=0))
        assert time.monotonic() - started < 30
    assert is_gone(engine, container, 5)


def test_a_container_that_ends_by_itself_says_why():
    target = ContainerTarget(max_cycles=200_000, timeout_s=30.0)
    with target, pytest.raises(DeviceError, match=r"limit|exit code 5"):
        target.flash(build_program(picture()))


def test_closing_leaves_nothing(engine: docker.DockerClient):
    target = ContainerTarget(timeout_s=60.0)
    target.open()
    container = target.container_id
    assert exists(engine, container)
    target.close()
    target.close()
    assert not exists(engine, container)
    with pytest.raises(DeviceError, match="not open"):
        target.logs()


def test_kill_9_of_the_bench_leaves_nothing_within_seconds(engine: docker.DockerClient):
    bench, container = _hold()
    assert exists(engine, container)
    bench.kill()
    bench.communicate()
    assert is_gone(engine, container, LINGER_S + 15)


def test_what_a_killed_bench_could_not_end_is_removed_by_the_next_one(engine: docker.DockerClient):
    """A paused container does not notice that its bench is gone."""
    bench, container = _hold()
    engine.api.pause(container)
    bench.kill()
    bench.communicate()
    with ContainerTarget(timeout_s=60.0) as target:
        assert not exists(engine, container)
        assert reap(engine) == []  # this one has an owner
        assert exists(engine, target.container_id)


def test_an_image_that_is_not_there_is_an_error_with_its_cure():
    with pytest.raises(DeviceError, match="mico images list"):
        ContainerTarget("mico-soc:000000000000").open()


def test_an_image_that_is_no_soc_is_refused(engine: docker.DockerClient, soc_image: Image):
    labels = engine.images.get(soc_image.id).labels
    base = labels["mico.base"]
    assert json.loads(labels["mico.description"])["cpu"] == "vexriscv"
    with pytest.raises(Exception, match="does not say what it simulates"):
        ContainerTarget(base).open()


def _hold() -> tuple[subprocess.Popen[str], str]:
    bench = subprocess.Popen(
        [sys.executable, "-m", "tests.hil.containers.holder"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert bench.stdout is not None
    return bench, bench.stdout.readline().strip()
