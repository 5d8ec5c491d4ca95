"""Images of docker/: what they are named by, what they hold and what they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import docker
import pytest

from hil import images
from hil.base_image import bootstrap
from hil.images import NAMES, Image, build_image, content_hash, describe, find_image, full_name
from hil.verilate import ROOT, describe_soc
from mico.errors import DeviceError, UsageError


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_named_by_what_goes_into_it(name: str):
    assert content_hash(name) == content_hash(name)
    assert content_hash(name) != content_hash(name, {"ram_latency": 4})
    assert full_name(name) == f"mico-{name}:{content_hash(name)[:12]}"


def test_a_source_more_or_less_is_another_image(monkeypatch: pytest.MonkeyPatch):
    listed, read = ROOT / "docker" / "soc" / "sources.txt", images._lines
    before = content_hash("soc")
    monkeypatch.setattr(images, "_lines", lambda path: read(path)[:-1] if path == listed else read(path))
    assert content_hash("soc") != before


def test_an_unknown_image_is_refused():
    with pytest.raises(UsageError, match="one of soc"):
        content_hash("socks")


def test_a_built_image_is_not_built_again(engine: docker.DockerClient, soc_image: Image):
    steps: list[str] = []
    started = time.monotonic()
    assert build_image(engine, "soc", say=steps.append) == soc_image
    assert not steps
    assert time.monotonic() - started < 5
    assert find_image(engine, "soc") == soc_image


def test_the_soc_image_is_small_and_holds_nothing_of_the_build(engine: docker.DockerClient, soc_image: Image):
    assert soc_image.size < 20_000_000
    config = engine.api.inspect_image(soc_image.id)["Config"]
    assert config["User"] == "65532:65532"
    assert not [entry for entry in config["Env"] or [] if "PIP" in entry or "proxy" in entry.lower()]
    steps = " ".join(str(step["CreatedBy"]) for step in engine.api.history(soc_image.id))
    assert "pip" not in steps
    assert "apt-get" not in steps
    container = engine.api.create_container(soc_image.id)["Id"]
    try:
        exported = b"".join(engine.api.export(container))
    finally:
        engine.api.remove_container(container)
    assert b"BEGIN CERTIFICATE" not in exported
    assert b"bin/sh\0" not in exported[: 1 << 16]


def test_the_label_names_the_simulated_hardware(soc_image: Image):
    facts = describe(soc_image)
    here = describe_soc()
    assert {key: facts[key] for key in here.parameters} == here.parameters
    assert facts["clock_hz"] == here.clock_hz
    assert facts["build_id"] == facts["hardware_hash"][:16]


@pytest.mark.usefixtures("soc_image")
def test_the_command_lists_what_is_there(soc_image: Image):
    command = [sys.executable, "-m", "hil.cli", "images", "list"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert soc_image.name in done.stdout
    assert "vexriscv" in done.stdout


def test_without_an_engine_the_error_names_the_cure(monkeypatch: pytest.MonkeyPatch):
    from hil.engine import connect

    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(DeviceError, match="start dockerd"):
        connect()


@pytest.mark.slow  # debootstrap downloads and unpacks a minimal Debian: one to two minutes
def test_a_base_image_is_made_where_no_registry_answers(engine: docker.DockerClient):
    if os.geteuid() != 0 or shutil.which("debootstrap", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("debootstrap needs to be installed, and root")
    name = "mico-base:test"
    try:
        bootstrap(engine, name)
        output = engine.containers.run(name, ["cat", "/etc/debian_version"], remove=True, network_mode="none")
        assert output.startswith(b"12.")
    finally:
        engine.images.remove(name, force=True)
