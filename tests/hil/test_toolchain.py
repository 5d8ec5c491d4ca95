"""The cross toolchain: programs, boot ROM, caches, and what it says when something is missing."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import pytest

from hil import toolchain
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_boot_rom, build_program, compiler_version, firmware_hash
from mico.errors import ToolError
from tests.hil.targets.programs import lenet5, picture


def test_a_program_has_its_sizes_and_identity():
    model = lenet5(4, 4)
    program = build_program(model)
    weights = sum(op.weight.size // 2 for op in model.ops if op.weight is not None)
    assert program.flash_bytes == len(program.image)
    assert weights < program.flash_bytes < weights + 60_000
    assert 784 < program.ram_bytes < 32_768
    assert (program.input_shape, program.output_count) == ((1, 28, 28), 10)
    assert not program.input_signed
    assert "-march=rv32im" in program.toolchain
    assert compiler_version() in program.toolchain
    assert len(program.digest) == 64


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kernels and runtime, compiled once into a cache of their own."""
    cache_dir = tmp_path_factory.mktemp("cache")
    build_program(picture(), cache_dir=cache_dir)
    return cache_dir / "objects"


@pytest.fixture
def cache_dir(tmp_path: Path, objects: Path) -> Path:
    """A cache with these objects and no program."""
    shutil.copytree(objects, tmp_path / "objects")
    return tmp_path


def test_the_same_model_gives_the_same_program_from_the_cache_and_from_an_empty_one(cache_dir: Path, objects: Path):
    first = build_program(picture(), cache_dir=cache_dir)
    assert build_program(picture(), cache_dir=cache_dir) == first
    assert build_program(picture(), cache_dir=objects.parent) == first
    assert build_program(picture(seed=1), cache_dir=cache_dir).digest != first.digest


@pytest.mark.parametrize("version", [0, 1, 2])
def test_programs_for_a_target_use_the_simd_unit_that_it_has(version: int):
    program = SocSim(simd=version).build(picture())
    assert f"-DMICO_SIMD={version}" in program.toolchain.split()
    assert program == build_program(picture(), simd=version)
    assert SocSim(simd=version).provenance(program).firmware == firmware_hash(simd=version)


def test_a_second_program_takes_under_two_seconds_of_compilation(cache_dir: Path):
    """Kernels and runtime are compiled once; measured as CPU time of the children, other work on the machine aside."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    build_program(lenet5(8, 8, seed=2), cache_dir=cache_dir)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0


def _build(folder: str) -> str:
    return build_program(picture(), cache_dir=folder).digest


def test_processes_share_a_cache(cache_dir: Path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(_build, [str(cache_dir)] * 2))) == 1
    assert [path for path in cache_dir.rglob("*") if path.name.startswith(".new-") or ".tmp" in path.name] == []


def test_a_build_that_fails_leaves_no_entry(cache_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(toolchain, "_LINK", (*toolchain._LINK, "-Wl,--defsym=__ram_size=4096"))
    with pytest.raises(ToolError, match=r"(?s)does not fit into the RAM.*smaller model"):
        build_program(picture(), cache_dir=cache_dir)
    assert [path for path in cache_dir.iterdir() if path.name != "objects"] == []


def test_a_missing_compiler_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = compiler_version()
    monkeypatch.setattr(toolchain, "compiler_version", lambda: known)
    monkeypatch.setattr(toolchain, "_PREFIX", "riscv64-no-such-elf-")
    with pytest.raises(ToolError, match="apt install gcc-riscv64-unknown-elf") as caught:
        build_program(picture(), cache_dir=tmp_path)
    assert caught.value.exit_code == 3


def test_what_the_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        toolchain, "COMPILE_FLAGS", (*toolchain.COMPILE_FLAGS, "-Werror", "-include", "no-such-header.h")
    )
    with pytest.raises(ToolError, match=r"no-such-header.h: No such file"):
        build_program(picture(), cache_dir=tmp_path)


def test_the_boot_rom_is_words_for_readmemh_and_below_8_kib(tmp_path: Path):
    path = build_boot_rom(cache_dir=tmp_path)
    lines = path.read_text().splitlines()
    assert 256 < len(lines) <= 2048
    assert all(len(line) == 8 and int(line, 16) >= 0 for line in lines)
    assert build_boot_rom(cache_dir=tmp_path) == path


def test_an_entry_whose_image_is_damaged_is_not_silently_used(cache_dir: Path):
    build_program(picture(), cache_dir=cache_dir)
    image = next(cache_dir.glob("*/image.bin"))
    image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(ToolError, match="damaged"):
        build_program(picture(), cache_dir=cache_dir)


def test_firmware_hash_covers_the_kernels(monkeypatch: pytest.MonkeyPatch):
    assert len(firmware_hash()) == 64
    assert firmware_hash() == firmware_hash(simd=2)
    assert len({firmware_hash(simd=version) for version in (0, 1, 2)}) == 3
    monkeypatch.setattr(toolchain, "COMPILE_FLAGS", (*toolchain.COMPILE_FLAGS, "-O3"))
    changed = firmware_hash()
    monkeypatch.undo()
    assert changed != firmware_hash()
