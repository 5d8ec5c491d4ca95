"""The verilated SoC as a target, with everything real: compiler, boot ROM, simulator, pty."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from mico.errors import DeviceError, FlashError, MicoError, ProtocolError, ProtocolTimeout, UsageError
from tests.hil.targets.programs import inputs, lenet5, picture

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 3.0


@pytest.fixture
def target() -> Iterator[SocSim]:
    with SocSim(timeout_s=60.0) as soc:
        yield soc


def is_alive(pid: int) -> bool:
    """Whether process *pid* runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(8, 8), (4, 2), (1, 4)])
def test_lenet_is_bit_exact_and_its_layers_add_up(target: SocSim, weight_bits: int, activation_bits: int):
    model = lenet5(weight_bits, activation_bits)
    x = inputs(model, 2, seed=1)
    target.flash(build_program(model))
    assert np.array_equal(target.infer(x), model.run(x))
    run = target.measure(x, laps=2, warmup=1)
    assert np.array_equal(run.outputs, model.run(x[:1]))
    assert run.samples == (run.cycles, run.cycles)
    assert run.layers[-1].name == "glue"
    assert run.layers[-1].cycles < 0.01 * run.cycles
    assert abs(sum(layer.cycles for layer in run.layers) - run.cycles) <= 0.01 * run.cycles


def test_a_picture_as_output_and_a_signed_input_arrive_in_the_models_order(target: SocSim):
    model = picture()
    x = inputs(model, 4, seed=2)
    program = build_program(model)
    assert program.output_order
    target.flash(program)
    assert np.array_equal(target.infer(x), model.run(x))


def test_plain_kernels_give_the_same_outputs(target: SocSim):
    model = picture(seed=3)
    x = inputs(model, 2, seed=3)
    target.flash(build_program(model, simd=0))
    assert np.array_equal(target.infer(x), model.run(x))
    assert target.info()["simd-kernels"] == "0"


def test_cycles_do_not_depend_on_what_ran_before_nor_on_the_process():
    """The same program again, after another program, after another input, and in a new simulator."""
    small, other = lenet5(2, 2), picture()
    x, y = inputs(small, 2, seed=4), inputs(other, 1, seed=5)
    program = build_program(small)
    cycles = []
    with SocSim(timeout_s=60.0) as target:
        target.flash(program)
        cycles += [target.measure(x).cycles, target.measure(x, laps=1, warmup=0).cycles]
        target.infer(x[1:])
        cycles.append(target.measure(x).cycles)
        target.flash(build_program(other))
        target.measure(y)
        target.flash(program)
        first = target.measure(x)
        cycles.append(first.cycles)
    with SocSim(timeout_s=60.0) as target:
        target.flash(program)
        again = target.measure(x)
        assert again.layers == first.layers
        cycles.append(again.cycles)
    assert len(set(cycles)) == 1, cycles


def test_ram_latency_costs_cycles_and_is_told():
    model = picture()
    program, x = build_program(model), inputs(model, 1, seed=6)
    cycles = []
    for latency in (0, 4):
        with SocSim(ram_latency=latency, timeout_s=60.0) as target:
            target.flash(program)
            assert target.info()["ram-latency"] == str(latency)
            assert target.provenance(program).parameters["ram_latency"] == latency
            cycles.append(target.measure(x).cycles)
    assert cycles[1] > cycles[0]


@pytest.mark.slow  # builds other simulators
@pytest.mark.parametrize("version", [0, 1])
def test_a_simulator_refuses_kernels_of_a_later_simd_unit_and_runs_its_own(version: int):
    model = picture()
    x = inputs(model, 1, seed=7)
    with SocSim(simd=version, timeout_s=60.0) as target:
        with pytest.raises(FlashError, match="later version of the SIMD unit"):
            target.flash(build_program(model))
        target.flash(build_program(model, simd=version))
        assert np.array_equal(target.infer(x), model.run(x))


def test_a_program_that_traps_says_so_and_infers_no_more(target: SocSim):
    """The image's first layer is made an illegal instruction; the trap is reported, not waited for."""
    model = picture()
    program = build_program(model)
    elf = _elf_of(program.image)
    address = _symbol(elf, "mico_stream_conv2d") - program.load_address
    image = bytearray(program.image)
    image[address : address + 4] = bytes(4)
    target.flash(dataclasses.replace(program, image=bytes(image)))
    console = target._console
    assert console is not None
    console.load(bytes(90))
    with pytest.raises(ProtocolError, match=r"e-\[Trap: cause 2 pc 0x400"):
        console.infer(1, 0)
    assert console.info()["fault"] == "Trapped before: reset"
    with pytest.raises(ProtocolError, match="Trapped before"):
        console.infer(1, 0)
    target.flash(program)
    x = inputs(model, 1, seed=8)
    assert np.array_equal(target.infer(x), model.run(x))


def test_another_image_than_the_one_flashed_is_refused(target: SocSim, monkeypatch: pytest.MonkeyPatch):
    """The image is exchanged on its way to the loader, CRCs and all: only asking what runs can tell."""
    wanted, other = build_program(picture()), build_program(picture(seed=9))
    from hil.targets import console_target

    send = console_target.flash
    monkeypatch.setattr(console_target, "flash", lambda port, _, **options: send(port, other.image, **options))
    with pytest.raises(FlashError, match="another image"):
        target.flash(wanted)
    with pytest.raises(DeviceError, match="no program runs"):
        target.infer(inputs(picture(), 1, seed=0))


def test_a_program_too_large_for_the_ram_is_refused_when_flashed(target: SocSim):
    program = dataclasses.replace(build_program(picture()), image=bytes(5 * 1024 * 1024))
    with pytest.raises(FlashError, match="does not fit"):
        target.flash(program)


def test_inputs_of_the_wrong_shape_or_type_are_refused(target: SocSim):
    target.flash(build_program(picture()))
    with pytest.raises(UsageError, match="int8"):
        target.infer(np.zeros((1, 3, 6, 5), np.uint8))
    with pytest.raises(UsageError, match="shape"):
        target.infer(np.zeros((1, 6, 5, 3), np.int8))


def test_a_closed_target_says_so():
    soc = SocSim()
    soc.close()
    with pytest.raises(DeviceError, match="not open"):
        soc.flash(build_program(picture()))


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
def test_a_simulator_that_dies_or_hangs_is_an_error_within_the_timeout(sig: signal.Signals):
    model = picture()
    program = build_program(model)
    with SocSim(timeout_s=TIMEOUT_S) as target:
        target.flash(program)
        pid = target.pid
        os.kill(pid, sig)
        started = time.monotonic()
        with pytest.raises((DeviceError, ProtocolTimeout)) as caught:
            target.infer(inputs(model, 1, seed=0))
        assert time.monotonic() - started < 3 * TIMEOUT_S + 10  # a full port is waited for before it counts as hung
        assert str(pid) in str(caught.value) or "signal 9" in str(caught.value)
    assert not is_alive(pid)


def test_a_simulator_that_dies_within_an_inference_is_noticed_at_once():
    model = lenet5(8, 8)
    program = build_program(model)
    with SocSim(timeout_s=60.0) as target:
        target.flash(program)
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {target.pid}"])
        started = time.monotonic()
        with pytest.raises(DeviceError, match="signal 9"):
            target.measure(inputs(model, 1, seed=0), laps=200)
        assert time.monotonic() - started < 30
        killer.wait()


def test_a_flash_onto_a_killed_simulator_fails_and_opening_again_cures_it():
    program = build_program(picture())
    target = SocSim(timeout_s=60.0)
    with target:
        os.kill(target.pid, signal.SIGKILL)
        with pytest.raises(DeviceError):
            target.flash(program)
        target.open()
        target.flash(program)
        assert target.info()["model"] == "picture"


def test_the_cycle_limit_ends_the_simulator_with_a_reason():
    with SocSim(timeout_s=30.0, max_cycles=200_000) as target, pytest.raises(MicoError, match="limit of"):
        target.flash(build_program(picture()))


def test_kill_9_of_the_parent_leaves_no_simulator():
    script = (
        "import time; from hil.targets.soc_sim import SocSim; target = SocSim(); target.open();"
        "print(target.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ends(pid, within_s=60)


def test_a_target_that_is_never_closed_is_ended_with_the_interpreter():
    script = "from hil.targets.soc_sim import SocSim; target = SocSim(); target.open(); print(target.pid)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert ends(int(done.stdout), within_s=60)


def test_provenance_names_everything_that_can_change_a_measurement():
    one, two = build_program(picture()), build_program(picture(seed=1))
    target = SocSim()
    assert target.provenance(one).key() == SocSim().provenance(one).key()
    assert target.provenance(one).key() != target.provenance(two).key()
    assert target.provenance(one).key() != SocSim(ram_latency=4).provenance(one).key()
    assert set(target.provenance(one).parameters) == {
        "cpu",
        "ram_bytes",
        "ram_latency",
        "simd_version",
        "simd_lanes",
    }


def _elf_of(image: bytes) -> Path:
    for path in (ROOT / "build" / "programs").glob("*/image.bin"):
        if path.read_bytes() == image:
            return path.with_name("program.elf")
    raise AssertionError("the program's cache entry has no image.bin")


def _symbol(elf: Path, name: str) -> int:
    lines = subprocess.run(["riscv64-unknown-elf-nm", elf], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in lines.splitlines() if line.split()[2] == name)
