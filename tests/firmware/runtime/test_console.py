"""The console's core, compiled for the host under sanitisers, spoken to over a real pty."""

from __future__ import annotations

import os
import subprocess
import tty
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.link.console import Console
from hil.link.frame import Frame, FrameType
from hil.link.port import open_port
from mico.errors import ProtocolError, ProtocolTimeout
from tests.firmware.host_build import host_console

INPUT = bytes(range(5, 45))
LOGITS = (sum(INPUT), -sum(v * v for v in INPUT), INPUT[0] - INPUT[-1])


@pytest.fixture
def console() -> Iterator[Console]:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = open_port(os.ttyname(slave))  # opening empties its input: the boot lines must come later
    process = subprocess.Popen([host_console()], stdin=master, stdout=master, stderr=subprocess.PIPE)
    try:
        talk = Console(port, timeout_s=60.0)
        talk.wait_boot()
        yield talk
        assert process.poll() is None, process.stderr.read().decode()
    finally:
        port.close()
        os.close(slave)
        process.kill()
        process.communicate()
        os.close(master)


def error_of(console: Console, command: str) -> str:
    with pytest.raises(ProtocolError) as caught:
        console.command(command)
    assert not isinstance(caught.value, ProtocolTimeout)
    return str(caught.value)


def test_boot_lines():
    done = subprocess.run([host_console()], input=b"", capture_output=True, timeout=60, check=True)
    lines = done.stdout.decode().split("\r\n")
    assert lines[0] == "m-timestamp-mode-performance"
    assert lines[1].startswith("m-lap-us-")
    assert lines[2:] == ["m-init-done", "m-ready", ""]


def test_name_profile_and_help(console: Console):
    assert console.name() == "MICO"
    assert console.profile() == ("ULPMark for tinyML Firmware V0.0.1", "hand")
    assert len(console.command("help")) >= 3


def test_timestamps_count_microseconds(console: Console):
    first, second = console.timestamp_us(), console.timestamp_us()
    assert 0 < second - first < 5_000_000


def test_hex_load_infer_and_results(console: Console):
    console.load_hex(INPUT)
    assert console.buffer() == INPUT
    run = console.infer(3, 2)
    assert run.results == tuple(float(v) for v in LOGITS)
    assert len(run.lap_cycles) == 3
    assert run.lap_us[1] >= run.lap_us[0]
    assert console.command("results") == [f"m-results-[{','.join(f'{v:.3f}' for v in LOGITS)}]"]
    assert console.logits() == LOGITS
    assert console.laps() == run.lap_cycles


def test_the_input_survives_a_model_that_reuses_its_buffer(console: Console):
    console.load(INPUT)
    for _ in range(2):
        console.infer(2, 1)
        assert console.logits() == LOGITS


def test_frame_load_holds_what_was_sent(console: Console):
    console.load(INPUT)
    assert console.buffer() == INPUT


def test_layers_add_up_to_the_last_lap(console: Console):
    console.load(INPUT)
    console.infer(4, 0)
    layers = console.layers()
    assert [name for name, _ in layers.layers] == ["sums", "difference"]
    assert sum(cycles for _, cycles in layers.layers) + layers.glue == layers.total == console.laps()[-1]


def test_infer_without_a_second_number_warms_up_ten_times(console: Console):
    console.load(INPUT)
    assert console.command("infer 1")[0] == "m-warmup-start-10"


def test_laps_beyond_256_run_but_are_not_kept(console: Console):
    console.load(INPUT)
    assert len(console.infer(300, 0).lap_cycles) == 256


def test_info_names_model_and_machine(console: Console):
    info = console.info()
    assert (info["model"], info["model-id"], info["cpu"]) == ("hand", "00112233445566aa", "host")
    assert info["input-bytes"] == str(len(INPUT))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("", "Empty command"),
        ("foo", "Unknown command: foo"),
        ("db", "db load N, db HH.. or db print"),
        ("db 00", "No bytes expected"),
        ("db print", "The input is empty"),
        ("db load", "has 40 bytes"),
        ("db load 41", "has 40 bytes"),
        ("db load 39", "has 40 bytes"),
        ("db load 4294967336", "has 40 bytes"),
        ("db load -1", "has 40 bytes"),
        ("load 41", "has 40 bytes"),
        ("infer 1 1", "No input"),
        ("infer 0 1", "infer N W"),
        ("infer x", "infer N W"),
        ("infer 1 1000001", "infer N W"),
        ("results", "No inference has run"),
        ("logits", "No inference has run"),
        ("laps", "No inference has run"),
        ("layers", "No inference has run"),
    ],
)
def test_wrong_commands_and_wrong_order_answer_an_error(console: Console, command: str, error: str):
    assert error in error_of(console, command)
    assert console.name() == "MICO"


def test_odd_hex_bad_digits_and_excess_bytes_store_nothing(console: Console):
    console.command("db load 40")
    assert "Odd number" in error_of(console, "db 123")
    assert "Not a hex digit" in error_of(console, "db 0g")
    console.command("db " + "11" * 38)
    assert "More bytes" in error_of(console, "db 222222")
    assert console.buffer() == b"\x11" * 38
    assert console.command("db 2222") == ["m-load-done"]
    assert "No bytes expected" in error_of(console, "db 33")
    assert console.buffer() == b"\x11" * 38 + b"\x22" * 2


def test_a_command_has_at_most_80_characters_with_its_end(console: Console):
    assert "Unknown command: " + "x" * 79 in error_of(console, "x" * 79)
    assert "more than 80" in error_of(console, "x" * 80)
    assert "more than 80" in error_of(console, "name" + " " * 5000)
    assert console.name() == "MICO"


def test_line_ends_are_ignored_and_bytes_beyond_ascii_refused(console: Console):
    assert console.command("\r\nna\nme\r\n") == ["m-name-dut-[MICO]"]
    console.port.write(b"na\xe9me%")
    assert console._answer("an error", 60.0) == ["e-[Command is not printable ASCII]"]


def test_a_new_load_discards_the_old_input(console: Console):
    console.load(INPUT)
    console.command("db load 40")
    assert "No input" in error_of(console, "infer 1 0")


def test_sync_leaves_a_load_that_was_begun(console: Console):
    console.port.write(b"load 40%")
    console.port.write(b"\xa5\x5aD")
    console.sync(timeout_s=1.0)
    assert console.name() == "MICO"
    assert "The input is empty" in error_of(console, "db print")


def test_silence_says_what_was_awaited_and_what_arrived(console: Console):
    console.port.write(b"load 40%")
    with pytest.raises(ProtocolTimeout, match=r"awaited the answer.*m-ready.*Expecting 40 bytes"):
        console._answer("the answer to 'x'", 0.3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=100),
            st.sampled_from([b"%", b"db load 40%", b"infer 1 1%", b"infer 2 0%", b"layers%", b"laps%", b"load 40%"]),
            st.binary(max_size=41).map(lambda b: b"db " + b.hex().encode() + b"%"),
        ),
        max_size=12,
    )
)
def test_no_stream_breaks_the_console(pieces: list[bytes]):
    """No sanitiser finding, and a command after it is still answered."""
    abort = bytes(1036) + Frame(FrameType.ABORT, 0).encode()
    stream = b"".join(pieces) + abort + b"%name%"
    done = subprocess.run([host_console()], input=stream, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.endswith(b"m-name-dut-[MICO]\r\nm-ready\r\n")
