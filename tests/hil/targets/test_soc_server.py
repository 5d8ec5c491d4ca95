"""The simulated SoC as a server on two TCP ports, and the target for it: the real simulator, real sockets."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from hil.targets.control_link import ControlLink, split_address
from hil.targets.soc_server import SocServer
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_boot_rom, build_program
from hil.verilate import build_soc
from mico.errors import DeviceError, ProtocolTimeout, UsageError
from tests.hil.targets.programs import inputs, lenet5, picture


class Served:
    """A simulator process, and where it listens."""

    def __init__(self, *options: str) -> None:
        command = [build_soc().path, "--boot-rom", build_boot_rom(), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, "--control", "127.0.0.1:0", *options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.console, self.control = ready["console"], ready["control"]

    def target(self, timeout_s: float = 30.0) -> SocServer:
        return SocServer(console=self.console, control=self.control, timeout_s=timeout_s)

    def link(self) -> ControlLink:
        return ControlLink(self.control, 10.0, lambda _within_s: None)

    def connect(self, address: str) -> socket.socket:
        return socket.create_connection(split_address(address), 5.0)


@contextmanager
def served(*options: str) -> Iterator[Served]:
    server = Served(*options)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as running:
        yield running


def ends(connection: socket.socket) -> bool:
    """Whether the other side closes *connection*, after whatever it has sent."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_outputs_cycles_layers_and_provenance_are_those_of_the_local_simulator(server: Served):
    model = lenet5(4, 2)
    x = inputs(model, 2, seed=1)
    program = build_program(model)
    with server.target() as target, SocSim(timeout_s=60.0) as local:
        assert target.provenance(program) == local.provenance(program)
        target.flash(program)
        local.flash(program)
        assert np.array_equal(target.infer(x), model.run(x))
        here, there = local.measure(x), target.measure(x)
        assert there.layers == here.layers
        assert (there.cycles, there.samples) == (here.cycles, here.samples)


def test_cycles_are_the_same_after_another_program_and_in_another_session(server: Served):
    model, other = picture(), lenet5(2, 2)
    x = inputs(model, 1, seed=2)
    cycles = set()
    for program in (build_program(model), build_program(other), build_program(model)):
        with server.target() as target:
            target.flash(program)
            if program.name == model.name:
                cycles.add(target.measure(x).cycles)
    assert len(cycles) == 1


def test_bytes_from_before_a_hangup_do_not_get_through(server: Served):
    control = server.link()
    with server.connect(server.console) as console:
        console.sendall(b"\xa5\x5a garbage that would confuse the loader" * 200)
        control.request("hangup")
        control.request("reset")
        assert ends(console)
    with server.connect(server.console) as console:
        assert console.recv(4096).startswith(b"mico-boot")
    control.close()


def test_the_console_has_one_host_at_a_time(server: Served):
    with server.connect(server.console) as first, server.connect(server.console) as second:
        assert first.recv(64).startswith(b"mico-boot")
        assert second.recv(64) == b""


def test_a_port_that_is_answered_before_the_simulator_is_up_is_tried_again(server: Served):
    """As a container engine's proxy does: it takes the connection and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def relay() -> None:
            for _ in range(3):
                proxy.accept()[0].close()
            taken, _ = proxy.accept()
            with taken, server.connect(server.control) as control:
                control.sendall(taken.recv(64))
                taken.sendall(control.recv(4096))

        thread = threading.Thread(target=relay)
        thread.start()
        link = ControlLink(f"127.0.0.1:{proxy.getsockname()[1]}", 10.0, lambda _within_s: None)
        assert link.ready["console"] == server.console
        link.close()
        thread.join()


def test_unknown_commands_and_endless_lines_do_no_harm(server: Served):
    with server.connect(server.control) as first:
        first.sendall(b"nonsense\n")
        assert json.loads(first.recv(4096))["event"] == "error"
    with server.connect(server.control) as second:
        second.sendall(b"x" * 100_000)
        assert ends(second)
    link = server.link()
    assert link.request("stats")["bus_errors"] == 0
    link.close()


def test_the_probe_says_whether_it_lives(server: Served):
    command = [build_soc().path, "--probe", server.control]
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    server.process.kill()
    server.process.wait()
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0


def test_it_ends_when_its_owner_is_gone_but_a_probe_is_none():
    with served("--linger", "1") as server:
        link = server.link()
        link.request("stats")
        time.sleep(2.0)
        assert server.process.poll() is None
        link.close()
        started = time.monotonic()
        while server.process.poll() is None and time.monotonic() - started < 60:
            subprocess.run([build_soc().path, "--probe", server.control], capture_output=True, timeout=30, check=False)
            time.sleep(0.1)
        assert server.process.poll() == 0, "the probes kept it alive"
        assert time.monotonic() - started > 0.5


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_hangs_is_an_error_within_the_timeout(server: Served, sig: signal.Signals):
    model = picture()
    with server.target(timeout_s=3.0) as target:
        target.flash(build_program(model))
        server.process.send_signal(sig)
        started = time.monotonic()
        with pytest.raises((DeviceError, ProtocolTimeout)):
            target.infer(inputs(model, 1, seed=0))
        assert time.monotonic() - started < 20


def test_the_cycle_limit_is_told():
    with served("--max-cycles", "200000") as server, server.target() as target:
        with pytest.raises(DeviceError, match=r"limit of|gone"):
            target.flash(build_program(picture()))
        assert server.process.wait(60) == 5


def test_another_simulator_behind_the_same_address_is_refused(server: Served):
    target = server.target()
    with target:
        pass
    assert target._served is not None
    target._served.build_id = "0" * 16
    with pytest.raises(DeviceError, match="another simulator"):
        target.open()


@pytest.mark.parametrize("options", [["--listen", "127.0.0.1:0"], ["--control", "127.0.0.1:0"], ["--linger", "3"]])
def test_options_that_do_not_go_together_are_refused(options: list[str]):
    done = subprocess.run(
        [build_soc().path, "--boot-rom", build_boot_rom(), *options], capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 2


@pytest.mark.parametrize("address", ["localhost", ":5000", "localhost:", "localhost:99999"])
def test_an_address_is_host_and_port(address: str):
    with pytest.raises(UsageError, match="not an address"):
        SocServer(console=address, control="localhost:5001")
