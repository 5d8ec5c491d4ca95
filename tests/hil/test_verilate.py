"""Building the simulator: cache, identity, refusals, broken and killed builds, lint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

from hil.netlist import FILLINGS, check_netlist, read_ports
from hil.soc_compile import training_rom
from hil.verilate import ROOT, build_soc, describe_soc, lint, vexriscv_netlist
from mico.errors import ToolError, UsageError

STAND_IN = ROOT / "tests" / "rtl" / "soc" / "vexii_stand_in.sv"
PINS = ROOT / "tests" / "rtl" / "soc" / "vexii_pins.sv"


def leftovers(build):
    folder = build.path.parent
    return [path.name for path in folder.parent.glob(f"{folder.name}*") if path.suffix != ".lock"]


def test_second_build_is_looked_up():
    first = build_soc()
    modified = first.path.stat().st_mtime_ns
    begin = time.monotonic()
    assert build_soc() == first == describe_soc()
    assert time.monotonic() - begin < 5
    assert first.path.stat().st_mtime_ns == modified
    assert os.access(first.path, os.X_OK)
    assert leftovers(first) == [first.path.parent.name]


def test_identity_follows_what_the_program_can_notice(tmp_path):
    """Every parameter and every byte of the netlist changes the hash; the number of compilers does not enter."""
    netlist = tmp_path / "VexRiscv.v"
    netlist.write_text(vexriscv_netlist().read_text() + "\n// another\n")
    builds = [
        describe_soc(),
        describe_soc(ram_latency=2),
        describe_soc(ram_bytes=1 << 20),
        describe_soc(simd=0),
        describe_soc(simd=1),
        describe_soc(lanes=2),
        describe_soc(clock_hz=10_000_000),
        describe_soc(pgo=True),
        describe_soc(netlist=netlist),
        describe_soc(cpu="vexiiriscv", netlist=STAND_IN),
    ]
    assert len({build.hardware_hash for build in builds}) == len(builds)
    assert len({build.path for build in builds}) == len(builds)
    assert describe_soc(ram_latency=2).parameters == {
        "cpu": "vexriscv",
        "ram_bytes": 4 << 20,
        "ram_latency": 2,
        "simd_version": 2,
        "simd_lanes": 4,
    }
    for version in (0, 1):
        parameters = describe_soc(simd=version).parameters
        assert (parameters["simd_version"], parameters["simd_lanes"]) == (version, 0)
    for build in builds:
        assert build.hardware_hash.startswith(build.build_id)


def test_training_program_is_compiled_once_and_always_to_the_same_image():
    """So the key of a build with a profile depends on sources and compilers alone."""
    image = training_rom()
    content, modified = image.read_bytes(), image.stat().st_mtime_ns
    assert training_rom() == image
    assert image.stat().st_mtime_ns == modified
    image.unlink()
    assert training_rom() == image
    assert image.read_bytes() == content
    assert content.startswith(b"@00000000")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cpu": "rocket"}, "no such CPU: rocket"),
        ({"cpu": "vexiiriscv"}, "no netlist for vexiiriscv"),
        ({"netlist": Path("nowhere.v")}, "no such netlist"),
        ({"ram_bytes": 1023}, "1023 bytes of RAM"),
        ({"ram_bytes": 1 << 30}, "bytes of RAM"),
        ({"ram_latency": -1}, "-1 wait states"),
        ({"simd": 3}, "no SIMD version 3"),
        ({"lanes": 3}, "3 lanes"),
        ({"clock_hz": 0}, "clock of 0 Hz"),
    ],
)
def test_bad_parameters_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        describe_soc(**options)


def test_netlist_that_does_not_fit_is_refused_by_port(tmp_path):
    """Missing ports, other widths and directions, and inputs that nothing drives are all named, before any build."""
    netlist = tmp_path / "VexiiRiscv.v"
    text = STAND_IN.read_text()
    for old, new in (
        ("output logic [31:0] LsuCachelessPlugin_logic_bus_cmd_payload_data,", ""),
        ("output logic        CfuPlugin_logic_bus_rsp_ready", "input logic CfuPlugin_logic_bus_rsp_ready"),
        ("output logic [9:0]  CfuPlugin", "output logic [2:0]  CfuPlugin"),
        ("input  logic        reset,", "input  logic        reset, /* debug */ input wire jtag_tck,"),
    ):
        assert old in text
        text = text.replace(old, new)
    netlist.write_text(text)
    with pytest.raises(UsageError) as refusal:
        build_soc(cpu="vexiiriscv", netlist=netlist)
    for part in (
        "missing ports: LsuCachelessPlugin_logic_bus_cmd_payload_data;",
        "CfuPlugin_logic_bus_rsp_ready is a 1-bit input, not a 1-bit output",
        "CfuPlugin_logic_bus_cmd_payload_function_id is a 3-bit output, not a 10-bit output",
        "inputs that the socket does not drive: jtag_tck",
        "VexiiRiscv.v",
    ):
        assert part in str(refusal.value)
    with pytest.raises(UsageError, match="no module VexiiRiscv"):
        build_soc(cpu="vexiiriscv", netlist=vexriscv_netlist())


def test_netlist_ports_and_widths_are_read():
    assert check_netlist(vexriscv_netlist(), FILLINGS["vexriscv"]) == {}
    assert check_netlist(STAND_IN, FILLINGS["vexiiriscv"]) == {"FetchIdWidth": 1, "LsuIdWidth": 1}
    assert check_netlist(PINS, FILLINGS["vexiiriscv"]) == {"FetchIdWidth": 1, "LsuIdWidth": 2}
    ports = read_ports(vexriscv_netlist(), "VexRiscv")
    assert (ports["iBusWishbone_ADR"].direction, ports["iBusWishbone_ADR"].width) == ("output", 30)


def test_broken_netlist_shows_the_compiler_and_leaves_nothing(tmp_path):
    netlist = tmp_path / "VexiiRiscv.v"
    netlist.write_text(STAND_IN.read_text().replace("endmodule", "assign nonsense = ;\nendmodule"))
    with pytest.raises(ToolError, match="syntax error"):
        build_soc(cpu="vexiiriscv", netlist=netlist)
    assert leftovers(describe_soc(cpu="vexiiriscv", netlist=netlist)) == []


@pytest.mark.parametrize("program", ["g++", "make", "perl"])
def test_missing_tool_is_named_with_its_cure(monkeypatch, tmp_path, program):
    for name in {"g++", "make", "perl"} - {program}:
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=rf"{program.replace('+', '.')} is missing.*apt-get install"):
        build_soc(ram_bytes=123456)


def test_killed_build_leaves_nothing_that_looks_like_one(tmp_path):
    """SIGKILL of a builder half-way: no simulator; of two builders after it one builds and both get it.

    The simulator that comes out runs: the stand-in for VexiiRiscv fetches its list of stores and prints.
    """
    netlist = tmp_path / "VexiiRiscv.v"
    netlist.write_text(STAND_IN.read_text() + f"\n// {tmp_path}\n")
    expected = describe_soc(cpu="vexiiriscv", netlist=netlist)
    command = [sys.executable, "-m", "hil.verilate", "build", "--cpu", "vexiiriscv", "--netlist", str(netlist)]
    killed = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    end = time.monotonic() + 60
    while not list(expected.path.parent.parent.glob(f"{expected.path.parent.name}.part-*/obj/*.o")):
        assert killed.poll() is None, "the build ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not expected.path.exists()
    assert leftovers(expected) != []

    builders = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [builder.communicate(timeout=300)[0].strip() for builder in builders] == [str(expected.path)] * 2
    assert leftovers(expected) == [expected.path.parent.name]

    rom = tmp_path / "stores.hex"
    words = [word for char in b"hello\n" for word in (0xF0001000, char)] + [0, 0]
    rom.write_text("@0\n" + "\n".join(f"{word:08X}" for word in words) + "\n")
    simulator = subprocess.Popen(
        [str(expected.path), "--boot-rom", str(rom)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        ready = json.loads(simulator.stdout.readline())
        assert (ready["cpu"], ready["build_id"]) == ("vexiiriscv", expected.build_id)
        with serial.serial_for_url(ready["pty"], 115200, timeout=60) as console:
            simulator.stdin.write("reset\n")
            simulator.stdin.flush()
            assert json.loads(simulator.stdout.readline()) == {"event": "reset"}
            assert console.read_until(b"\n") == b"hello\n"
    finally:
        simulator.stdin.close()
        assert simulator.wait(60) == 0
        simulator.stdout.close()
        shutil.rmtree(expected.path.parent)
        expected.path.parent.with_suffix(".lock").unlink()


@pytest.mark.parametrize(
    "core", [{}, pytest.param({"cpu": "vexiiriscv", "netlist": STAND_IN}, marks=pytest.mark.slow)], ids=["vex", "vexii"]
)
def test_sources_are_lint_clean(core):
    """``verilator --lint-only -Wall`` over all of ours, with either core."""
    lines = lint(**core)
    assert len(lines) >= 4
    assert all(line.endswith("clean") for line in lines)


def test_lint_finds_what_is_wrong(tmp_path):
    """A netlist is waived, our sources are not: a core with a port of another width makes lint fail."""
    netlist = tmp_path / "VexRiscv.v"
    text = vexriscv_netlist().read_text()
    netlist.write_text(text.replace("output     [2:0]    dBusWishbone_CTI", "output     [1:0]    dBusWishbone_CTI"))
    with pytest.raises(UsageError, match="dBusWishbone_CTI is a 2-bit output, not a 3-bit output"):
        lint(netlist=netlist)
