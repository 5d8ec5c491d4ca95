"""The simulator process with VexRiscv and real programs: console, commands, determinism, sleep, limits, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hil.verilate import build_soc


@pytest.fixture(scope="module")
def soc():
    return build_soc()


def test_program_sees_the_soc(soc, compile_program, simulate):
    """A C program prints the info block, counters, a SIMD result, and answers bytes, all over the pty."""
    simulator = simulate(soc.path, compile_program("smoke"))
    simulator.restart()
    lines = simulator.read_until(b"ready\n").decode().split("\n")
    values = [int(line.split()[1], 16) for line in lines if line.startswith("info")]
    assert values == [0x4F43494D, int(soc.build_id[:8], 16), soc.clock_hz, 1, 4 << 20, 2, 0, 0x40000000]
    seen = dict(line.split() for line in lines if " " in line and not line.startswith("info"))
    assert seen == {
        "forward": "00000001",
        "high": "00000000",
        "dot": "00000006",
        "product": f"{7 * 0x01234567:08x}",
        "quotient": f"{0xFFFFFFFF // 7:08x}",
        "bytes": "13ab1110",
    }
    simulator.console.write(b"HAL\x00\xff")
    assert simulator.console.read(5) == b"IBM\x01\x00"
    assert simulator.ready | {"event": "ready"} == {
        "event": "ready",
        "pty": simulator.ready["pty"],
        "build_id": soc.build_id,
        "clock_hz": soc.clock_hz,
        "ram_bytes": 4 << 20,
        "ram_latency": 0,
        "cpu": "vexriscv",
        "simd_version": 2,
        "simd_lanes": 4,
        "hardware_hash": soc.hardware_hash,
    }
    assert simulator.command("stats")["bus_errors"] == 0


def test_engine_and_core_share_the_memory(soc, compile_program, simulate):
    """What the core stores the engine reads, what the engine writes the core loads, 200 rounds each way of fencing, and
    behind one to nine stores back to back. Without the flush the core sees its old lines: the program can tell."""
    simulator = simulate(soc.path, compile_program("stream"))
    simulator.restart()
    lines = [line.split() for line in simulator.read_until(b"done\n").decode().split("\n")[:-2]]
    seen = dict(lines)
    assert (seen["version"], seen["lanes"]) == ("00000002", "00000004")
    assert (seen["fenced"], seen["by-io"], seen["error"]) == ("00000000", "00000000", "00000000")
    assert [count for name, count in lines if name == "stores"] == ["00000000"] * 9
    assert int(seen["unfenced-after"], 16) > 100
    assert int(seen["ops"], 16) == 4 * 200 * 2 + 9 * 50
    assert (seen["alias"], seen["cached"]) == ("12345678", "1234ab78")


def test_interrupts_and_faults(soc, compile_program, simulate):
    simulator = simulate(soc.path, compile_program("traps"))
    simulator.restart()
    lines = simulator.read_until(b"done\n").decode().split("\n")
    assert [line.split() for line in lines[:-2]] == [
        ["timer", "00000001"],
        ["soon", "00000001"],
        ["software", "00000001"],
        ["nothing", "00000000"],
        ["external", "00000002"],
        ["faults", "00000000"],
        ["illegal", "00000001"],
        ["enabled", "00000001"],
        ["disabled", "00000001"],
    ]
    stats = simulator.command("stats")
    assert (stats["bus_errors"], stats["first_bus_error"]) == (2, "0x80000000")


def test_cycles_do_not_depend_on_the_host(soc, compile_program, simulate):
    """The same bytes, sent at once or one by one with pauses, are seen in the same cycles."""
    printed = []
    for pause_s in (0, 0, 0.03):
        simulator = simulate(soc.path, compile_program("bytes"))
        simulator.restart()
        simulator.read_until(b"ready\n")
        answers = []
        if pause_s:
            for _ in range(10):
                time.sleep(pause_s)
                simulator.console.write(b"c")
                answers.append(simulator.read_until(b"\n"))
        else:
            simulator.console.write(b"c" * 10)
            answers = [simulator.read_until(b"\n") for _ in range(10)]
        printed.append((answers, simulator.command("stats")["cycles"]))
        simulator.close()
    assert len(set(printed[0][0])) == 10
    first = [answer for answer, _ in printed]
    assert first[0] == first[1] == first[2]


def test_reset_repeats_the_first_run(soc, compile_program, simulate):
    """After a reset the program starts over, in the same cycles; bytes of before the reset are gone."""
    simulator = simulate(soc.path, compile_program("bytes"))
    printed = []
    for _ in range(3):
        simulator.restart()
        simulator.read_until(b"ready\n")
        simulator.console.write(b"c")
        printed.append(simulator.read_until(b"\n"))
        simulator.console.write(b"f")
    assert len(set(printed)) == 1


def test_waiting_core_sleeps(soc, compile_program, simulate):
    """While the core polls an empty UART no cycle is simulated and hardly any CPU time is used; a byte wakes it."""
    simulator = simulate(soc.path, compile_program("bytes"))
    simulator.restart()
    simulator.read_until(b"ready\n")
    before = simulator.command("stats")
    time.sleep(0.6)
    after = simulator.command("stats")
    assert after["cycles"] == before["cycles"]
    assert after["cpu_seconds"] - before["cpu_seconds"] < 0.05
    assert after["idle_seconds"] - before["idle_seconds"] > 0.5
    simulator.console.write(b"c")
    simulator.read_until(b"\n")


def test_time_outs_and_interrupts_go_on_without_bytes(soc, compile_program, simulate):
    """A core that reads the timer while it polls gets its time-out; bytes come by interrupt too."""
    simulator = simulate(soc.path, compile_program("bytes"))
    simulator.restart()
    simulator.read_until(b"ready\n")
    simulator.console.write(b"t")
    assert simulator.read_until(b"\n") == b"time-out\n"
    simulator.console.write(b"i")
    simulator.read_until(b"on\n")
    simulator.console.write(b"x" * 99 + b".")
    assert simulator.read_until(b"\n") == b"received 00000064\n"


def test_nothing_is_lost_when_nobody_reads(soc, compile_program, simulate):
    """100,000 bytes sent before the host reads one: the core is held, and every byte arrives in order."""
    simulator = simulate(soc.path, compile_program("bytes"))
    simulator.restart()
    simulator.read_until(b"ready\n")
    simulator.console.write(b"f" * 5)
    time.sleep(0.3)
    assert simulator.command("stats")["event"] == "stats"
    expected = (bytes(range(97, 123)) * 770)[:20000] * 5
    assert simulator.console.read(len(expected)) == expected


def test_limit_ends_with_an_event(soc, compile_program, simulate):
    simulator = simulate(soc.path, compile_program("busy"), "--max-cycles", "300001")
    assert simulator.event() == {"event": "limit", "cycles": 300001}
    assert simulator.process.wait(10) == 5


def test_quit_and_end_of_input_end_it(soc, compile_program, simulate):
    for asleep in (False, True):
        for ending in ("quit\n", ""):
            simulator = simulate(soc.path, compile_program("bytes" if asleep else "busy"))
            simulator.process.stdin.write(ending)
            simulator.process.stdin.close()
            assert simulator.process.wait(10) == 0


def test_unknown_command_is_said(soc, compile_program, simulate):
    simulator = simulate(soc.path, compile_program("bytes"))
    assert simulator.command("rest")["event"] == "error"
    assert simulator.command("stats")["event"] == "stats"


def test_it_never_outlives_its_parent(soc, compile_program, tmp_path, eventually):
    """SIGKILL of the parent, while somebody else still holds stdin open: the simulator ends."""
    pid_file = tmp_path / "pid"
    script = (
        "import subprocess, sys, time\n"
        "sim = subprocess.Popen(sys.argv[1:4], stdin=int(sys.argv[5]), stdout=subprocess.DEVNULL)\n"
        "open(sys.argv[4], 'w').write(str(sim.pid))\n"
        "time.sleep(60)\n"
    )
    read_end, write_end = os.pipe()
    command = [str(soc.path), "--boot-rom", str(compile_program("busy"))]
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *command, str(pid_file), str(read_end)], pass_fds=[read_end]
    )
    try:
        eventually(lambda: pid_file.is_file() and pid_file.read_text() != "")
        pid = int(pid_file.read_text())
        time.sleep(0.2)
        os.kill(pid, 0)
        parent.kill()
        parent.wait()

        def gone() -> bool:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            except FileNotFoundError:
                return True
            return state == "Z"

        eventually(gone)
    finally:
        parent.kill()
        parent.wait()
        os.close(read_end)
        os.close(write_end)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no boot ROM"),
        (["--boot-rom", "/nonexistent.hex"], "cannot read the boot ROM"),
        (["--boot-rom"], "needs a value"),
        (["--max-cycles", "many"], "not a number of cycles"),
        (["--speed", "1"], "unknown option"),
    ],
)
def test_usage_errors_are_said(soc, options, said):
    done = subprocess.run(
        [str(soc.path), *options], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_killed_simulator_leaves_a_closed_pty(soc, compile_program, simulate):
    """After SIGKILL the console fails at once instead of staying silent: the host can tell dead from slow."""
    simulator = simulate(soc.path, compile_program("bytes"))
    simulator.restart()
    simulator.read_until(b"ready\n")
    simulator.process.send_signal(signal.SIGKILL)
    simulator.process.wait(10)

    def ask():
        for _ in range(3):
            simulator.console.write(b"c")
            simulator.console.read(1)

    with pytest.raises(OSError, match=r"(?i)input/output|disconnected|write failed|closed"):
        ask()
