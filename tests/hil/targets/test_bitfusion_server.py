"""The BitFusion simulation as a server, and the target for it: a real server process, real simulations."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from hil.harness.bf_server import exchange
from hil.harness.bf_sim import Job
from hil.targets.bitfusion import BitFusionSim
from hil.targets.bitfusion_server import BitFusionServer
from hil.targets.control_link import split_address
from hil.verilate import ROOT
from mico.errors import DeviceError, MeasurementError, ProtocolError, UsageError
from tests.hil.targets.test_bitfusion import SMALL, random_layer


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "hil.harness.bf_server", "--listen", "127.0.0.1:0", "--machine"]
    process = subprocess.Popen([*command, json.dumps(SMALL.parameters())], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["address"]
    process.kill()
    process.communicate()


def test_outputs_cycles_layers_and_provenance_are_those_of_the_local_simulation(address: str):
    builder = random_layer(5)
    model, x = builder.build(), builder.inputs(2)
    with BitFusionServer(address=address) as there, BitFusionSim(machine=SMALL) as here:
        assert there.machine == SMALL
        program = there.build(model)
        assert there.provenance(program) == here.provenance(program)
        for target in (there, here):
            target.flash(program)
        assert np.array_equal(there.infer(x), model.run(x))
        one, other = there.measure(x, laps=1), here.measure(x, laps=1)
        assert (one.cycles, one.layers) == (other.cycles, other.layers)


def test_what_fails_there_is_the_same_error_here(address: str):
    builder = random_layer(6)
    with BitFusionServer(address=address, cycle_limit=50) as target:
        target.flash(target.build(builder.build()))
        with pytest.raises(MeasurementError, match="stopped with"):
            target.measure(builder.inputs(1), laps=1)
    with pytest.raises(UsageError, match="whole beats"):
        exchange(split_address(address), [Job(image=bytes(64), program=0, instructions=1, dump=(1, 1))], 60.0)


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\n", b"[1]\n", b'{"request": "dance"}\n', b'{"request": "jobs", "jobs": [{}]}\n', b"\xff" * 99],
)
def test_nonsense_is_answered_by_an_error_and_does_no_harm(address: str, sent: bytes):
    with socket.create_connection(split_address(address), 30.0) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            assert json.loads(stream.readline())["kind"] == "ProtocolError"
    facts = exchange(split_address(address), None, 30.0)
    assert isinstance(facts, dict)
    assert facts["build"] == "functional"


def test_images_that_would_fill_the_memory_are_refused(address: str):
    header = {"request": "jobs", "jobs": [{"image_bytes": 1 << 40, "memory": {}, "dump": [0, 0]}]}
    with socket.create_connection(split_address(address), 30.0) as connection:
        connection.sendall(json.dumps(header).encode() + b"\n")
        with connection.makefile("rb") as stream:
            assert "images of more than" in json.loads(stream.readline())["what"]


def test_the_probe_says_whether_it_answers(address: str):
    command = [sys.executable, "-m", "hil.harness.bf_server", "--probe"]
    assert subprocess.run([*command, address], cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 0
    assert (
        subprocess.run([*command, "127.0.0.1:1"], cwd=ROOT, capture_output=True, timeout=60, check=False).returncode
        == 3
    )


def test_it_ends_when_nobody_holds_it_but_a_question_is_no_hold():
    command = [sys.executable, "-m", "hil.harness.bf_server", "--listen", "127.0.0.1:0", "--linger", "1.5"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    where = split_address(json.loads(process.stdout.readline())["address"])
    with socket.create_connection(where, 30.0) as held:
        held.sendall(b'{"request": "hold"}\n')
        assert b"hold" in held.recv(64)
        time.sleep(3.0)
        exchange(where, None, 30.0)
        assert process.poll() is None
    started = time.monotonic()
    assert process.wait(60) == 0
    assert time.monotonic() - started > 1.0
    assert '"event": "abandoned"' in process.communicate()[0]


def test_nobody_there_is_an_error_with_the_address():
    with pytest.raises(DeviceError, match=r"127\.0\.0\.1:1"):
        BitFusionServer(address="127.0.0.1:1", timeout_s=2.0).open()


def test_an_answer_of_somebody_else_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            taken, _ = server.accept()
            taken.recv(4096)
            taken.sendall(b"220 mail.example ready\n")
            taken.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ProtocolError, match="BitFusion"):
            BitFusionServer(address=f"127.0.0.1:{port}", timeout_s=10.0).open()
        thread.join()
