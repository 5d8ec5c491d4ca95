"""lab.toml: what it gives, and what is refused with file, line, key and cure."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.lab import load_lab
from hil.lab_schema import KEYS, ValueProblem
from hil.targets.bitfusion import BitFusionSim
from hil.targets.serial_board import SerialBoard
from hil.targets.soc_sim import SocSim
from hil.targets.tcp_board import TcpBoard
from hil.toml_lines import line_of
from mico.errors import UsageError

GOOD = """
# A bench
[targets.soc]
kind = "soc-sim"
count = 3
ram_latency = 4
clock_hz = 40_000_000

[targets.array]
kind = "bitfusion-sim"
rows = 8
cols = 16
bandwidth = 64
rtl = "structural"

[targets.ecp5]
kind = "serial"
serial = "FT4X1Q2B"
baud = 1_000_000
reset = ["board-reset", "--port", "{port}"]
reset_timeout_s = 5
bitstream = "soc.bit"

[targets]
far = {kind = "tcp", address = "bench.example:4000", reset = "bench.example:4001"}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "lab.toml"
    path.write_text(text)
    return path


def test_every_kind_becomes_a_target_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "soc.bit").write_bytes(b"bits")
    head, _, tail = GOOD.partition("[targets]\n")
    lab = load_lab(write(tmp_path, "targets." + tail + head))
    assert lab.names() == ["far", "soc-0", "soc-1", "soc-2", "array", "ecp5"]
    soc, array = lab.target("soc-1"), lab.target("array")
    assert isinstance(soc, SocSim)
    assert (soc.ram_latency, soc.clock_hz) == (4, 40_000_000)
    assert isinstance(array, BitFusionSim)
    assert (array.machine.rows, array.memory.bandwidth, array.rtl.name) == (8, 64, "STRUCTURAL")
    serial, tcp = lab.target("ecp5"), lab.target("far")
    assert isinstance(serial, SerialBoard)
    assert (serial.serial, serial.baud, serial.name, serial.reset_timeout_s) == ("FT4X1Q2B", 1_000_000, "ecp5", 5.0)
    assert serial.bitstream == tmp_path / "soc.bit"
    assert isinstance(tcp, TcpBoard)
    assert (tcp.address, tcp.reset_address) == ("bench.example:4000", "bench.example:4001")
    assert lab.entry("far").where.endswith("lab.toml:1")
    assert lab.entry("soc-0").where.endswith("lab.toml:4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[targets.soc]\nkind = "soc-sim"\nram_latensy = 3', r"lab.toml:3: targets.soc.ram_latensy.*'ram_latency'"),
        ('[targets.soc]\nkind = "socsim"', r"lab.toml:2: targets.soc.kind.*did you mean 'soc-sim'"),
        ('[target.soc]\nkind = "soc-sim"', r"lab.toml:1: target:.*did you mean 'targets'"),
        ("\n[targets.soc]\ncount = 2", r"lab.toml:2: targets.soc: has no kind"),
        ('[targets.soc]\nkind = "soc-sim"\n\ncount = "2"', r"lab.toml:4: targets.soc.count: '2' is not a whole number"),
        ('[targets.soc]\nkind = "soc-sim"\ncount = true', r"lab.toml:3: targets.soc.count: True is not"),
        ('[targets.soc]\nkind = "soc-sim"\ncount = 0', r"targets.soc.count: 0 is not a whole number from 1"),
        ('[targets.a]\nkind = "serial"', r"lab.toml:1: targets.a:.*no serial nor usb nor port"),
        ('[targets.a]\nkind = "serial"\nserial = "x"\nport = "/dev/x"', r"both serial and port"),
        ('[targets.a]\nkind = "serial"\nport = "/dev/ttyUSB0"', r"lab.toml:3: .*another board.*by-id"),
        ('[targets.a]\nkind = "serial"\nusb = "0403"', r"lab.toml:3: targets.a.usb"),
        ('[targets.a]\nkind = "serial"\nserial = "x"\nreset = "sh"', r"lab.toml:4: targets.a.reset: .*list of words"),
        ('[targets.a]\nkind = "serial"\nserial = "x"\nreset = ["a", "{img}"]', r"\{img\} stands for nothing"),
        ('[targets.a]\nkind = "tcp"\naddress = "host"', r"lab.toml:3: targets.a.address"),
        ('[targets.a]\nkind = "tcp"\naddress = "h:1"\nreset_timeout_s = -1', r"lab.toml:4: .*not a time"),
        ('[targets.a]\nkind = "container"', r"lab.toml:1: targets.a: .*no image"),
        ('[targets.a]\nkind = "soc-sim"\nnetlist = "no.v"', r"lab.toml:3: targets.a.netlist: no such file"),
        ('[targets."a b"]\nkind = "soc-sim"', r"lab.toml:1: targets.a b: is no name"),
        (
            '[targets.soc]\nkind = "soc-sim"\ncount = 1\n[targets.soc-0]\nkind = "soc-sim"',
            r"lab.toml:4: .*second target",
        ),
        ("[targets]", r"names no target"),
        ("", r"names no target"),
        ('[targets.soc]\nkind = "soc-sim"\nkind = "soc-sim"', r"lab.toml:3: no TOML"),
        ("[targets.soc\n", r"lab.toml:1: no TOML"),
        ('[targets.a]\nkind = "bitfusion-sim"\nibuf_bytes = 3000', None),
    ],
)
def test_what_is_not_understood_is_an_error_with_its_line(tmp_path: Path, text: str, message: str | None) -> None:
    path = write(tmp_path, text)
    if message is None:  # sizes that do not go together are known only when the machine is made
        with pytest.raises(UsageError, match=r"lab.toml:1: .*power of two"):
            load_lab(path).target("a")
        return
    with pytest.raises(UsageError, match=message) as caught:
        load_lab(path)
    assert caught.value.cure


def test_the_default_lab_has_both_simulators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MICO_LAB", raising=False)
    lab = load_lab()
    assert lab.names() == ["soc", "bitfusion"]
    assert lab.select("soc-sim") == ["soc"]
    assert isinstance(lab.target("soc"), SocSim)


def test_option_goes_before_variable_before_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("option", "variable", "here"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, f'[targets.{name}]\nkind = "soc-sim"')
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("MICO_LAB", raising=False)
    assert load_lab().names() == ["here"]
    monkeypatch.setenv("MICO_LAB", str(tmp_path / "variable" / "lab.toml"))
    assert load_lab().names() == ["variable"]
    assert load_lab(tmp_path / "option" / "lab.toml").names() == ["option"]
    monkeypatch.setenv("MICO_LAB", str(tmp_path / "absent.toml"))
    with pytest.raises(UsageError, match=r"absent.toml.*MICO_LAB"):
        load_lab()


def test_names_and_groups_are_selected_and_unknown_ones_named(tmp_path: Path) -> None:
    text = '[targets.soc]\nkind = "soc-sim"\ncount = 2\n[targets.other]\nkind = "soc-sim"'
    lab = load_lab(write(tmp_path, text))
    assert lab.select("soc") == ["soc-0", "soc-1"]
    assert lab.select("other, soc-1") == ["other", "soc-1"]
    with pytest.raises(UsageError, match="did you mean 'other'"):
        lab.select("othr")
    with pytest.raises(UsageError, match="named twice"):
        lab.select("soc,soc-1")
    with pytest.raises(UsageError, match="stands for 2 targets"):
        lab.target("soc")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.b.c = 1", 1),
        ("# a.b.c\n[a]\nx = [\n 1,\n]\nb = {c = 2}", 6),
        ('[a]\ns = """\n[a.b]\nc = 1\n"""\n[a.b]\nd = 1\n"c" = 2', 8),
        ("[a.b]\nc = [\n 1]\nd = 2", 2),
    ],
)
def test_lines_are_found_however_the_key_is_written(text: str, line: int) -> None:
    assert line_of(text, ["a", "b", "c"]) == line


_VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.lists(st.text(max_size=4), max_size=3),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(kind=st.sampled_from(sorted(KEYS)), data=st.data())
def test_any_value_of_any_key_is_taken_or_refused_politely(kind: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(KEYS[kind])))
    value = data.draw(_VALUES)
    with contextlib.suppress(ValueProblem):
        KEYS[kind][name].check(value, Path("."))


def test_the_reference_lists_every_key_of_every_kind() -> None:
    text = (Path(__file__).resolve().parents[3] / "hil" / "docs" / "lab.md").read_text()
    for kind, keys in KEYS.items():
        chapter = text.split(f"\n## {kind}\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \| (.*) \|$", chapter, re.MULTILINE) == [
            (name, key.says) for name, key in keys.items()
        ]
