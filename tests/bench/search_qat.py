"""Searchers where additivity breaks: QAT in the loop on ResNet-8 at {4, 2, 1} bits, ``tests.bench.search --qat``.

An evaluation is a short training from the float network and the accuracy on validation images; nothing else tells a
scheme's accuracy, so the probe's answers are not faithful and the best scheme is unknown: searchers are compared by
what they found. Every trained scheme is kept under ``build/bench/search`` with all that decides it, and shared.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hil.workload import Workload, load_workload
from mico.data.dataset import spread
from mico.errors import UsageError
from mico.quant import fake, lower, qat
from mico.quant.prefix import NetworkProbe
from mico.quant.scheme import Scheme
from mico.search.base import Searcher, Space, Vectors
from mico.search.registry import searcher_class
from tests.bench.search_tables import ROOT

BITS = (4, 2, 1)
FRACTION = 0.4
BUDGET = 24
OUT = ROOT / "build" / "bench" / "search"


class Trained:
    """Accuracies of schemes after *steps* of QAT, on *images* of validation, evenly spaced; each is trained once."""

    def __init__(self, work: Workload, steps: int, images: int, seed: int) -> None:
        self.work, self.steps, self.images, self.seed = work, steps, images, seed
        parts = [work.graph.digest(), work.dataset.digest, work.evaluator.calibration.digest()]
        parts.append(str((steps, images, seed)))
        code = [inspect.getsource(item) for item in (fake, lower, qat)]
        self.path = OUT / f"qat-{hashlib.sha256(json.dumps([*parts, *code]).encode()).hexdigest()[:16]}.jsonl"
        self.known: dict[str, float] = {}
        if self.path.is_file():
            for line in self.path.read_text().splitlines():
                if line.endswith("}"):
                    row = json.loads(line)
                    self.known[row["scheme"]] = row["accuracy"]

    @property
    def epochs(self) -> float:
        return self.steps * self.work.evaluator.recipe.batch_size / len(self.work.dataset.train)

    def __call__(self, scheme: Scheme) -> float:
        key = str(scheme)
        if key not in self.known:
            evaluator = self.work.evaluator
            result = qat.finetune(
                self.work.graph,
                scheme,
                evaluator.calibration,
                self.work.dataset,
                steps=self.steps,
                seed=self.seed,
                batch_size=evaluator.recipe.batch_size,
                shift=evaluator.recipe.shift,
                flip=evaluator.recipe.flip,
            )
            val = self.work.dataset.val
            chosen = spread(len(val), self.images)
            answers = result.model.run(val.images[chosen]).argmax(axis=1)
            self.known[key] = float(np.mean(answers == val.labels[chosen]))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps({"scheme": key, "accuracy": self.known[key]}) + "\n")
        return self.known[key]


def play(searcher: Searcher, trained: Trained, cost: Callable[[Vectors], Any], limit: float) -> list[list[float]]:
    """``[cost so far, accuracy where it fits]`` after each evaluation, to a ledger of BUDGET."""
    rows: list[list[float]] = []
    while searcher.ledger.cost < BUDGET:
        try:
            scheme = searcher.ask()
        except UsageError:
            break
        bops = int(cost(np.array([scheme.vector()]))[0])
        found = trained(scheme)
        searcher.tell(scheme, found, bops, epochs=trained.epochs)
        rows.append([round(searcher.ledger.cost, 4), found if bops <= limit else 0.0])
    return rows


def compare(
    searchers: Sequence[str], seeds: int, steps: int, images: int, say: Callable[[str], None], path: Path
) -> dict[str, Any]:
    """The best accuracy of every searcher after 8, 16 and 24 evaluations; written to *path* after every run."""
    work = load_workload("resnet8", "cifar10")
    space = Space.of(work.graph, BITS, BITS)
    macs = np.array(space.macs, dtype=np.float64)
    half = len(space.names)

    def cost(rows: Vectors) -> Any:
        return (rows[:, :half] * rows[:, half:]) @ macs

    limit = FRACTION * float(cost(space.corner(0)[None])[0])
    results: dict[str, Any] = {
        "model": "resnet8",
        "bits": BITS,
        "fraction": FRACTION,
        "steps": steps,
        "images": images,
        "seeds": seeds,
        "runs": {},
    }
    trainings = 0
    for seed in range(seeds):
        trained = Trained(work, steps, images, seed)
        for name in searchers:
            probe = NetworkProbe(work.graph, work.evaluator.calibration, work.dataset, widest=(4, 4), faithful=False)
            searcher = searcher_class(name)(space, cost, limit, seed=seed, budget=BUDGET, probe=probe, exact=True)
            rows = play(searcher, trained, cost, limit)
            after = {str(n): max([a for c, a in rows if c <= n + 1e-9], default=0.0) for n in (8, 16, 24)}
            results["runs"].setdefault(name, []).append({"seed": seed, "after": after, "rows": rows})
            results["trainings"] = trainings + len(trained.known)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=2) + "\n")
            say(f"seed {seed}, {name}: {after}")
        trainings += len(trained.known)
    return results
