"""A device that outlives the bench is not flashed again with the image that it runs, and is where it runs another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hil.link.console import Console
from hil.targets import console_target
from mico.errors import ProtocolError
from tests.hil.faults.host_board import HostBoard, cycles_of, make_input, make_program

PROGRAM, X = make_program(1), make_input(2)


class Board(HostBoard):
    """Is asked first, and counts how often it was restarted."""

    asks_first = True
    restarts = 0

    def _restart(self, port):
        self.restarts += 1
        super()._restart(port)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    with Board(timeout_s=30.0) as board:
        board.flash(PROGRAM)
        assert board.restarts == 1
        monkeypatch.setattr(console_target, "_ASK_S", 3.0)  # the process may have to wait for a processor
        yield board


def test_the_image_that_runs_is_not_sent_again(board: Board):
    board.flash(PROGRAM)
    assert board.restarts == 1
    assert board.measure(X).cycles == cycles_of(PROGRAM)


def test_another_image_is_sent(board: Board):
    other = make_program(7)
    board.flash(other)
    assert board.restarts == 2
    assert board.measure(X).cycles == cycles_of(other)


def test_an_image_with_one_bit_changed_in_memory_is_sent_again(board: Board):
    board.talk(lambda console: console.command("tamper"))
    board.flash(PROGRAM)
    assert board.restarts == 2
    assert board.measure(X).cycles == cycles_of(PROGRAM)


def test_whoever_opens_the_port_next_finds_the_image(board: Board):
    """A target that has not flashed anything asks the device behind the port."""
    board._program = board._console = None
    board.flash(PROGRAM)
    assert board.restarts == 1


def test_a_device_that_does_not_answer_is_flashed(board: Board):
    board.port.write(b"load 40%")  # it takes frames now, and no commands
    board.flash(PROGRAM)
    assert board.restarts == 2


def test_a_boot_loader_is_told_from_a_console(board: Board):
    board.reset()
    console = Console(board.port, timeout_s=1.0)
    assert not console.answers(0.3)
    with pytest.raises(ProtocolError):
        console.info()
