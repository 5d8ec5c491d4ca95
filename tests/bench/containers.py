"""Measurements per second of four containers against one: ``python -m tests.bench.containers``.

A measurement is what a campaign asks of a target: another program is flashed, its outputs are checked and its laps
timed. Opening containers and compiling programs is not counted. Writes ``build/bench/containers.json``.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np

from hil.engine import connect
from hil.images import build_image
from hil.targets.base import Program
from hil.targets.container import ContainerTarget
from hil.toolchain import build_program
from mico.errors import MeasurementError, MicoError
from mico.quant.integer import IntegerModel
from tests.bench.result import save
from tests.hil.targets.programs import inputs, lenet5

BAR = 1.8
MEASUREMENTS = 8  # of one container in a round; several do twice as many
ROUNDS = 3
SCHEMES = ((8, 8), (4, 4), (2, 2), (1, 1))

Job = tuple[IntegerModel, Program]


def rate(targets: Sequence[ContainerTarget], jobs: Sequence[Job], cycles: dict[str, set[int]]) -> float:
    """Measurements per second of *targets*, each taking the next of *jobs* when it is free."""
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    failures: list[BaseException] = []

    def work(target: ContainerTarget) -> None:
        try:
            while True:
                model, program = waiting.get_nowait()
                x = inputs(model, 1, seed=0)
                target.flash(program)
                run = target.measure(x)
                if not np.array_equal(run.outputs, model.run(x)):
                    raise MeasurementError("outputs differ from Python's", where=program.name)
                cycles.setdefault(program.digest, set()).add(run.cycles)
        except queue.Empty:
            return
        except MicoError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(target,)) for target in targets]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return len(jobs) / (time.monotonic() - started)


def main() -> int:
    client = connect()
    image = build_image(client, "soc", say=lambda line: print(line, file=sys.stderr))
    models = [lenet5(weights, activations) for weights, activations in SCHEMES]
    jobs = [(model, build_program(model)) for model in models]
    targets = [ContainerTarget(timeout_s=120.0, name=f"bench-{number}") for number in range(4)]
    cycles: dict[str, set[int]] = {}
    ones, fours = [], []
    try:
        for target in targets:
            target.open()
        rate(targets, jobs, cycles)  # everything once, for the caches
        for _ in range(ROUNDS):
            ones.append(rate(targets[:1], jobs * (MEASUREMENTS // len(jobs)), cycles))
            fours.append(rate(targets, jobs * (2 * MEASUREMENTS // len(jobs)), cycles))
    finally:
        for target in targets:
            target.close()
    # Rounds in turns: what else the machine does hits both of a pair.
    speedups = sorted(four / one for one, four in zip(ones, fours, strict=True))
    speedup = speedups[ROUNDS // 2]
    exact = all(len(found) == 1 for found in cycles.values())
    result = {
        "speedup_4": round(speedup, 3),
        "speedups": [round(value, 3) for value in speedups],
        "one_per_s": round(sorted(ones)[ROUNDS // 2], 3),
        "four_per_s": round(sorted(fours)[ROUNDS // 2], 3),
        "cycles_agree": exact,
        "image": image.name,
        "image_mb": round(image.size / 1e6, 1),
        "cores": os.cpu_count(),
        "bars": [
            {"name": "speedup_4", "value": speedup, "bar": BAR, "pass": speedup >= BAR},
            {"name": "cycles_agree", "value": exact, "bar": True, "pass": exact},
        ],
    }
    return save("containers", result, show=True)


if __name__ == "__main__":
    sys.exit(main())
