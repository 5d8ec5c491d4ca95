"""Torture of a target of the lab: what is measured on it, and what can be done to it besides its line."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hil.layer_models import LayerShape, layer_case
from hil.targets.base import Target
from hil.targets.console_target import ConsoleTarget
from hil.torture import Action, Outcome, Report, Subject, torture
from mico.errors import MeasurementError, MicoError, UsageError
from mico.quant.scheme import LayerBits

if TYPE_CHECKING:
    from hil.leases import Leases

__all__ = ["actions_of", "make_subject", "torture_target"]

SPAN_BESIDES_IMAGE = 1500
"""Bytes that a measurement moves besides the image, roughly."""


def make_subject(target: Target) -> Subject:
    """A small convolution, measured twice on *target* without faults.

    Raises
    ------
    MeasurementError
        It computes something else than Python does, or simulated time differs.
    MicoError
        As *target*.
    """
    from hil.targets.board import Board

    shape = LayerShape("conv", (6, 6, 4), outputs=4, kernel=3, padding=1)
    model = layer_case(shape, LayerBits(weight=8, activation=8)).model
    tensor = model.tensors[model.input]
    values = np.random.default_rng(1).integers(tensor.format.qmin, tensor.format.qmax + 1, (1, *tensor.shape))
    x = values.astype(tensor.format.dtype)
    program, expected = target.build(model), model.run(x).reshape(1, -1).astype(np.int32)
    exact = not isinstance(target, Board)
    runs = []
    for _ in range(2):
        with target:
            target.flash(program)
            runs.append(target.measure(x))
    subject = Subject(program, x, expected, runs[0].cycles, exact)
    if not all(subject.fits(run.outputs, run.cycles) for run in runs):
        raise MeasurementError(
            "the target does not measure the same twice even without faults, or computes something else than Python",
            where=target.name,
            cure="repair it first: `mico run` compares outputs",
        )
    return subject


def actions_of(target: Target) -> dict[str, Action]:
    """What can be done to the device behind *target*: to a simulator that is a process here, all but a reset."""
    from hil.targets.soc_sim import SocSim

    if not isinstance(target, SocSim):
        return {}
    sim = target

    def send(number: signal.Signals) -> int:
        pid = 0
        with contextlib.suppress(MicoError, ProcessLookupError):  # closed, or dead already
            pid = sim.pid
            os.kill(pid, number)
        return pid

    def pause(seconds: float) -> None:
        pid = send(signal.SIGSTOP)

        def go_on() -> None:
            with contextlib.suppress(MicoError, ProcessLookupError):
                if sim.pid == pid:
                    os.kill(pid, signal.SIGCONT)

        timer = threading.Timer(seconds, go_on)
        timer.start()

    return {
        "kill": lambda _: _nothing(send(signal.SIGKILL)),
        "hang": lambda _: _nothing(send(signal.SIGSTOP)),
        "stop": pause,
    }


def _nothing(_: object) -> None:
    return None


def torture_target(
    target: Target,
    leases: Leases,
    *,
    seed: int,
    count: int,
    kinds: Sequence[str] | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> Report:
    """*count* scenarios on *target*, which is leased meanwhile. Its measurements go into a store of their own.

    Raises
    ------
    UsageError
        There is no line to it.
    DeviceError
        Somebody else holds it.
    MicoError
        It does not work even without faults.
    """
    if not isinstance(target, ConsoleTarget):
        raise UsageError("there is no serial line to it that could be damaged", where=target.name)
    target.timeout_s = min(target.timeout_s, 5.0)
    target.infer_timeout_s = min(target.infer_timeout_s, 30.0)
    target.flash_timeout_s, target.flash_retries = 0.5, 6
    with leases.hold(target.name, "torture"):
        subject = make_subject(target)
        return torture(
            target,
            subject,
            seed=seed,
            count=count,
            kinds=kinds,
            actions=actions_of(target),
            span=len(subject.program.image) + SPAN_BESIDES_IMAGE,
            progress=progress,
        )
