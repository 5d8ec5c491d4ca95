"""The lab's commands on real targets: the local simulator, and one served as a board."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from hil.leases import Leases
from hil.store import Store
from hil.targets.base import Program
from hil.toolchain import build_program
from hil.workload import image_program
from mico.errors import DeviceError, UsageError
from tests.hil.lab.conftest import Mico
from tests.hil.lab.sim_boards import on_tcp
from tests.hil.targets.programs import picture

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def program() -> Program:
    return build_program(picture())


@pytest.fixture
def image(tmp_path: Path, program: Program) -> Path:
    path = tmp_path / "program.bin"
    path.write_bytes(program.image)
    return path


def lab_of(folder: Path, text: str) -> Path:
    path = folder / "lab.toml"
    path.write_text(text)
    return path


def test_targets_shows_state_holder_and_what_is_wrong(mico: Mico, tmp_path: Path) -> None:
    lab = lab_of(
        tmp_path,
        '[targets.soc]\nkind = "soc-sim"\ncount = 3\n'
        '[targets.board]\nkind = "serial"\nport = "/dev/serial/by-id/none"\n'
        '[targets.far]\nkind = "tcp"\naddress = "127.0.0.1:1"\n',
    )
    store = tmp_path / "s.sqlite"
    leases = Leases(Store(store))
    for _ in range(3):
        leases.failed("soc-1", DeviceError("unplugged"))
    with leases.hold("soc-0", "a campaign"):
        assert mico("targets", "--lab", lab, "--store", store, "--json") == 0
        rows = {row["target"]: row for row in json.loads(mico.stdout)}
        assert mico("targets", "--lab", lab, "--store", store) == 0
    assert [row["state"] for row in rows.values()] == ["held", "quarantined", "free", "absent", "absent"]
    assert "(a campaign)" in rows["soc-0"]["holder"]
    assert "the last: unplugged" in rows["soc-1"]["problem"]
    assert "no port /dev/serial/by-id/none" in rows["board"]["problem"]
    assert "127.0.0.1:1 does not answer" in rows["far"]["problem"]
    assert "a campaign" in mico.stdout
    assert mico("targets", "release", "soc-1", "--lab", lab, "--store", store) == 0
    assert "released; it was quarantined" in mico.stdout
    assert not leases.health()["soc-1"].quarantined


def test_scan_prints_toml_or_says_that_nothing_is_attached(mico: Mico) -> None:
    assert mico("targets", "scan") == 0
    assert ('kind = "serial"' in mico.stdout) != ("no USB serial port" in mico.stderr)


def test_flash_and_console_on_a_served_board(mico: Mico, tmp_path: Path, image: Path) -> None:
    with on_tcp() as served:
        lab = lab_of(tmp_path, f'[targets.dut]\nkind = "tcp"\naddress = "{served.place}"\nreset = "{served.reset}"\n')
        options = ("--lab", lab, "--store", tmp_path / "s.sqlite")
        assert mico("flash", "dut", image, *options) == 0, mico.stderr
        assert f"image-bytes = {image.stat().st_size}" in mico.stdout
        assert mico("console", "dut", *options, stdin="profile\nnonsense%\n") == 0, mico.stderr
        assert "m-model-[picture]" in mico.stdout  # it still runs what was flashed
        assert "e-[Unknown command: nonsense]" in mico.stdout
        assert mico("targets", *options, "--json") == 0
        assert json.loads(mico.stdout)[0]["state"] == "free"


def test_console_of_a_target_without_program_is_a_time_out(mico: Mico, tmp_path: Path) -> None:
    assert mico("console", "soc", "--timeout", 1, "--store", tmp_path / "s.sqlite", stdin="name\n") == 5
    assert "awaited m-ready after 'name'" in mico.stderr


def test_a_held_target_ends_the_command_with_3(mico: Mico, tmp_path: Path, image: Path) -> None:
    store = tmp_path / "s.sqlite"
    with Leases(Store(store)).hold("soc", "somebody"):
        assert mico("flash", "soc", image, "--store", store, "--wait", 0) == 3
    assert "held by process" in mico.stderr
    assert "(somebody)" in mico.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("flash", "soc", "absent.bin"), "the image cannot be read"),
        (("flash", "nosuch", "{image}"), "no target 'nosuch'"),
        (("flash", "soc", "{image}", "--address", "here"), "no address"),
        (("console", "bitfusion"), "has no console"),
        (("run", "soc", "lenet5", "--inputs", "0"), "0 inputs"),
        (("measure", "soc", "lenet5", "--bits", "7", "--dataset", "digits"), "not a pair of bits"),
        (("measure", "soc", "lenet5", "--scheme", "absent.json", "--dataset", "digits"), "no scheme"),
    ],
)
def test_usage_errors_exit_with_2(
    mico: Mico, tmp_path: Path, image: Path, arguments: tuple[str, ...], message: str
) -> None:
    words = [word.format(image=image) for word in arguments]
    assert mico(*words, "--store", tmp_path / "s.sqlite") == 2
    assert message in mico.stderr
    assert "Traceback" not in mico.stderr


def test_an_elf_file_says_where_it_belongs(tmp_path: Path, program: Program) -> None:
    elves = list((ROOT / "build" / "programs").glob("*/program.elf"))
    (elf,) = [path for path in elves if image_program(path).image == program.image][:1]
    found = image_program(elf)
    assert (found.load_address, found.entry) == (program.load_address, program.entry)
    other = tmp_path / "host.elf"
    other.write_bytes(Path("/bin/true").read_bytes())
    with pytest.raises(UsageError, match="no ELF file of a 32-bit RISC-V"):
        image_program(other)


OWN = """
from torch import nn
from mico.models import Recipe
RECIPE = Recipe(epochs=0, min_steps=100)
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
"""


def network(folder: Path) -> str:
    """A network that is trained in a second."""
    (folder / "own.py").write_text(OWN)
    return f"{folder / 'own.py'}:Net"


EXAMPLES = ROOT / "hil" / "docs" / "ci"


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml"])
def test_the_gate_of_the_ci_example_runs(
    mico: Mico, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its `mico` commands as they stand there, but with a small network; then with a limit that is too low."""
    lines = re.findall(r"\.venv/bin/mico ((?:measure|check) .*)", (EXAMPLES / name).read_text())
    assert [line.split()[0] for line in lines] == ["measure", "check"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    own = network(tmp_path)
    measure, check = ([own if word == "lenet5" else word for word in shlex.split(line)] for line in lines)
    store = ("--store", str(tmp_path / "s.sqlite"))
    assert mico(*measure, *store, "--dataset", "digits", "--images", "200") == 0, mico.stderr
    at = check.index("--min-accuracy")
    check[at + 1] = "0.5"  # it was hardly trained
    assert mico(*check) == 0, mico.stdout
    check[check.index("--max-cycles") + 1] = "1000"
    assert mico(*check) == 1
    assert (tmp_path / "gate" / "check.xml").is_file()
    assert (tmp_path / "gate" / "check.md").is_file()


def test_run_compares_every_logit_with_python(mico: Mico, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    own = network(tmp_path)
    assert mico("run", "soc", own, "--inputs", 2, "--dataset", "digits", "--store", tmp_path / "s.sqlite") == 0
    assert re.search(r"of 2 images right, 0 differ from Python", mico.stdout)
