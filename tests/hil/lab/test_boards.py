"""Boards on a serial port and on TCP: the simulated SoC served as one, reached through lab.toml."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serial.tools.list_ports_common import ListPortInfo

from hil.lab import Lab, load_lab
from hil.targets.board import Board, median_and_mad
from hil.targets.serial_board import SerialBoard
from hil.targets.soc_sim import SocSim
from hil.targets.tcp_board import TcpBoard
from hil.toolchain import build_program
from hil.usb_ports import find_port, propose
from mico.errors import DeviceError, FlashError, MicoError, ProtocolError
from tests.hil.lab.sim_boards import Served, on_port, on_tcp
from tests.hil.targets.programs import inputs, picture


def lab_of(folder: Path, text: str) -> Lab:
    path = folder / "lab.toml"
    path.write_text(text)
    return load_lab(path)


def entry(kind: str, served: Served, *more: str) -> str:
    place = "port" if kind == "serial" else "address"
    lines = [f'kind = "{kind}"', f"{place} = {json.dumps(served.place)}", f"reset = {json.dumps(served.reset)}", *more]
    return "[targets.dut]\n" + "\n".join(lines) + "\n"


@pytest.fixture(params=["serial", "tcp"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Served]]:
    with on_port(tmp_path) if request.param == "serial" else on_tcp() as found:
        yield request.param, found


@pytest.fixture
def board(served: tuple[str, Served], tmp_path: Path) -> Board:
    target = lab_of(tmp_path, entry(*served)).target("dut")
    assert isinstance(target, SerialBoard if served[0] == "serial" else TcpBoard)
    return target


def test_a_board_computes_and_counts_what_the_local_simulator_does(board: Board) -> None:
    """Twice, with another program between: the reset works. Seeds 1 and 2."""
    model, other = picture(), picture(seed=9)
    program, x = build_program(model), inputs(model, 2, seed=1)
    with SocSim(timeout_s=60.0) as local:
        local.flash(program)
        wanted = local.measure(x)
        static = local.provenance(program)
    with board:
        board.flash(program)
        first = board.measure(x)
        assert np.array_equal(board.infer(x), model.run(x))
        board.flash(build_program(other))
        y = inputs(other, 1, seed=2)
        assert np.array_equal(board.infer(y), other.run(y))
        board.flash(program)
        again = board.measure(x, laps=7)
    for run, laps in ((first, 5), (again, 7)):
        assert run.samples == (wanted.cycles,) * laps
        assert (run.cycles, run.layers) == (wanted.cycles, wanted.layers)
        assert np.array_equal(run.outputs, wanted.outputs)
    told = board.provenance(program)
    assert (told.clock_hz, told.firmware, told.program) == (static.clock_hz, static.firmware, static.program)
    assert told.hardware == f"build-id {static.hardware[:8]}"
    assert told.parameters["ram_bytes"] == static.parameters["ram_bytes"]


def test_a_board_is_asked_what_it_is_before_its_key_is_known(board: Board) -> None:
    program = build_program(picture())
    assert board.asks
    key = board.provenance(program).key()
    assert not board.asks
    with pytest.raises(DeviceError, match="not open"):
        board.info()
    with board:
        board.flash(program)
        assert board.provenance(program).key() == key


def test_a_board_that_dies_is_a_device_error(served: tuple[str, Served], board: Board) -> None:
    program = build_program(picture())
    with board:
        board.flash(program)
        killer = threading.Timer(0.2, os.kill, (served[1].pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(MicoError) as caught:
            board.infer(inputs(picture(), 5000, seed=5))
        killer.join()
    assert caught.value.exit_code in (3, 5)
    with pytest.raises(DeviceError), board:
        board.flash(program)


def test_a_board_that_does_not_say_what_it_is_is_refused(board: Board, tmp_path: Path) -> None:
    """The answer is that of a bitstream whose BUILD_ID was never set."""
    told = {"build-id": "00000000", "clock-hz": "50000000", "ram-bytes": "1", "ram-latency": "0", "simd-version": "2"}
    for change in ({}, {"build-id": "ffffffff"}, {"build-id": ""}, {"build-id": "12345678", "clock-hz": "0"}):
        with pytest.raises(DeviceError, match="does not say what it is"):
            board._recognise({**told, **change})
    assert board.asks
    board.bitstream = tmp_path / "soc.bit"
    board.bitstream.write_bytes(b"bits")
    board._recognise(told)
    with pytest.raises(DeviceError, match="another board, or another bitstream"):
        board._recognise({**told, "clock-hz": "60000000"})


def test_a_failing_or_hanging_reset_command_is_told_with_its_output(tmp_path: Path) -> None:
    with on_port(tmp_path) as served:
        program = build_program(picture())
        for reset, message in (
            (["sh", "-c", "echo no such probe; exit 3"], "reset command ended with 3 and printed: no such probe"),
            (
                ["sh", "-c", "echo stuck; sleep 60 & sleep 60"],
                "reset command did not end within 1 s and printed: stuck",
            ),
            (["/no/such/program"], "reset command does not start"),
        ):
            text = entry("serial", Served(served.place, reset, 0), "reset_timeout_s = 1")
            start = time.monotonic()
            with pytest.raises(DeviceError, match=message), lab_of(tmp_path, text).target("dut") as target:
                target.flash(program)
            assert time.monotonic() - start < 20


def test_a_programmer_loads_the_image_while_the_port_is_free(tmp_path: Path) -> None:
    """A command of the site's own: it opens the port that it is told and sends the image it is told."""
    with on_port(tmp_path) as served:
        assert isinstance(served.reset, list)
        script = (
            "import sys; from pathlib import Path\n"
            "from hil.link.flash import flash; from hil.link.port import open_port\n"
            "with open_port(sys.argv[2]) as port:\n"
            "    image, base = Path(sys.argv[1]).read_bytes(), int(sys.argv[3], 0)\n"
            "    flash(port, image, base=base, entry=base)\n"
        )
        root = Path(__file__).resolve().parents[3]
        command = ["env", f"PYTHONPATH={root}", sys.executable, "-c", script, "{image}", "{port}", "{address}"]
        shell = ["bash", "-c", f'{served.reset[2]}; "$@"', "programmer", *command]
        text = entry("serial", served, f"programmer = {json.dumps(shell)}")
        model = picture()
        x = inputs(model, 2, seed=3)
        with lab_of(tmp_path, text).target("dut") as target:
            target.flash(build_program(model))
            assert np.array_equal(target.infer(x), model.run(x))
        text = entry("serial", served, 'programmer = ["sh", "-c", "echo verify failed; exit 1"]')
        with pytest.raises(FlashError, match="verify failed"), lab_of(tmp_path, text).target("dut") as target:
            target.flash(build_program(picture(seed=9)))


def test_power_commands_frame_the_session_and_restart_a_board_without_reset(tmp_path: Path) -> None:
    with on_port(tmp_path) as served:
        assert isinstance(served.reset, list)
        log = tmp_path / "power.log"
        on = ["bash", "-c", f"echo on >> {log}; {served.reset[2]}"]
        off = ["sh", "-c", f"echo off >> {log}"]
        text = entry("serial", served, f"power_on = {json.dumps(on)}", f"power_off = {json.dumps(off)}")
        text = "\n".join(line for line in text.splitlines() if not line.startswith("reset"))
        x = inputs(picture(), 1, seed=4)
        with lab_of(tmp_path, text).target("dut") as target:
            for model in (picture(), picture(seed=9)):
                target.flash(build_program(model))
                assert np.array_equal(target.infer(x), model.run(x))
        assert log.read_text().split() == ["on", "off", "on", "off", "on", "off"]


def test_a_board_that_cannot_be_restarted_says_what_to_do() -> None:
    with on_tcp() as served:
        target = TcpBoard("dut", address=served.place)
        program = build_program(picture())
        with target:
            target.flash(program)  # it waits in its boot loader
            target.flash_timeout_s, target.flash_retries = 0.2, 2
            with pytest.raises(FlashError, match="press the board's reset button"):
                target.flash(build_program(picture(seed=9)))


def test_an_image_that_runs_already_is_not_sent_again_and_another_one_is_noticed() -> None:
    """Also from another process, and without a reset: only asking tells."""
    program, other = build_program(picture()), build_program(picture(seed=9))
    x = inputs(picture(), 2, seed=6)
    with on_tcp() as served:
        assert isinstance(served.reset, str)
        for _ in range(2):
            with TcpBoard("dut", address=served.place) as target:
                for _ in range(2):
                    target.flash(program)
                    assert np.array_equal(target.infer(x), picture().run(x))
        with TcpBoard("dut", address=served.place, reset=served.reset) as target:
            target.flash(other)
            assert np.array_equal(target.infer(x), picture(seed=9).run(x))


def test_a_reset_port_that_answers_nonsense_or_nothing_is_named() -> None:
    with on_tcp() as served, socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"hello\n")

        thread = threading.Thread(target=answer)
        thread.start()
        target = TcpBoard("dut", address=served.place, reset=f"127.0.0.1:{number}")
        with pytest.raises(ProtocolError, match=r"awaited the event 'reset'.*hello"), target:
            target.flash(build_program(picture()))
        thread.join()
    target = TcpBoard("dut", address=served.place)
    with pytest.raises(DeviceError, match="cannot be opened"):
        target.open()


def test_median_and_deviation_of_laps() -> None:
    assert median_and_mad([5, 9, 1, 7, 100]) == (7, 2)
    assert median_and_mad([4, 2]) == (2, 0)


def usb(device: str, vid: int, pid: int, serial: str | None) -> ListPortInfo:
    port = ListPortInfo(device, skip_link_detection=True)
    port.vid, port.pid, port.serial_number, port.description = vid, pid, serial, "USB bridge"
    return port


def test_boards_are_found_by_what_stays_the_same_and_never_guessed(tmp_path: Path) -> None:
    ports = [usb("/dev/ttyUSB0", 0x0403, 0x6010, "A1"), usb("/dev/ttyUSB1", 0x0403, 0x6010, "B2")]
    ports.append(usb("/dev/ttyACM0", 0x1209, 0x5BF0, None))
    assert find_port("dut", serial="B2", ports=ports) == "/dev/ttyUSB1"
    assert find_port("dut", usb="1209:5BF0", ports=ports) == "/dev/ttyACM0"
    with pytest.raises(DeviceError, match="2 ports have USB id 0403:6010"):
        find_port("dut", usb="0403:6010", ports=ports)
    with pytest.raises(DeviceError, match=r"no board with serial number C3.*0403:6010 serial A1"):
        find_port("dut", serial="C3", ports=ports)
    with pytest.raises(DeviceError, match="no port"):
        find_port("dut", port=str(tmp_path / "absent"))
    lab = lab_of(tmp_path, propose(ports))
    assert lab.names() == ["board-0", "board-1", "board-2"]
    assert [dict(found.options) for found in lab.entries.values()] == [
        {"serial": "A1"},
        {"serial": "B2"},
        {"usb": "1209:5bf0"},
    ]


def test_twins_without_serial_number_are_not_proposed(tmp_path: Path) -> None:
    ports = [usb(f"/dev/ttyUSB{n}", 0x1A86, 0x7523, None) for n in (0, 1)]
    text = propose(ports)
    assert text.count("cannot be told from its twin") == 2
    with pytest.raises(MicoError, match="no serial nor usb nor port"):
        lab_of(tmp_path, text)
