"""The loop: search, evaluate, measure, fit, verify. Can be killed at any moment and resumes by replay.

What the searcher asks for depends on what it was told and on nothing else, and all that it is told is in the store
first. So a campaign that starts again tells its searcher the stored evaluations in their order and goes on where it
was; the evaluation that was cut off is asked for again and finds whatever of it had been committed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from hil.evaluation import Job, Quantiser, Workbench, ask_several, context, identity
from hil.latency_models import network_latency
from hil.result import Result, evaluation_row, scores, versions
from hil.scheduler import Cluster
from hil.scheduler_target import RemoteQuantiser, RemoteTarget
from hil.searching import Memory, fits, measured_bytes, merit, nothing_fits, open_searcher, probe_of, refuse_impossible
from hil.settings import SEARCHERS, Observer, Settings
from hil.store import Evaluation, Store
from hil.targets.base import Program, Target
from hil.targets.soc_sim import SocSim
from mico import models
from mico.data import Dataset
from mico.data.dataset import spread
from mico.errors import MeasurementError
from mico.graph import Graph
from mico.latency.network import NetworkLatency
from mico.models.recipe import Recipe
from mico.quant.evaluate import Evaluator
from mico.quant.integer import IntegerModel
from mico.quant.prepare import prepare
from mico.quant.scheme import Scheme
from mico.search.base import Probe, Searcher, SpaceExhaustedError
from mico.trace import trace
from mico.train import accuracy

__all__ = ["SEARCHERS", "Campaign", "Observer", "Result", "Settings", "explore"]

_ROOT = Path(__file__).resolve().parents[1]
_GIVE_UP_AFTER = 5  # failures in a row: then it is not the scheme


@dataclass
class Campaign:
    """One search with its budget, seed, measurements and result.

    Parameters
    ----------
    graph, dataset
        The trained network and its data.
    quantiser
        Makes integers of a scheme and computes their accuracy.
    target, store
        Where latency is measured and where everything is kept.
    fp32_accuracy
        Test accuracy of the float network, for the record.
    build
        From integers to what the target runs.
    seeds
        Other seeds that took part, for the record.
    probe
        What the searcher may ask of the network beside evaluations.
    """

    graph: Graph
    dataset: Dataset
    quantiser: Quantiser
    target: Target
    store: Store
    fp32_accuracy: float
    build: Callable[[IntegerModel], Program]
    settings: Settings = field(default_factory=Settings)
    observer: Observer = field(default_factory=Observer)
    seeds: Mapping[str, int] = field(default_factory=dict)
    probe: Probe | None = None

    def run(self) -> Result:
        """Walk the loop to its end, from wherever an earlier run with the same settings was stopped.

        Raises
        ------
        KeyboardInterrupt
            Interrupted; the campaign's state says so and everything committed is kept.
        UsageError
            No scheme meets the constraint.
        MicoError
            The 8-bit network, or five schemes in a row, could not be measured; or the store failed.
        """
        self._bench = Workbench(
            self.dataset,
            self.quantiser,
            self.target,
            self.store,
            build=self.build,
            tools=versions(),
        )
        self._mark = time.monotonic()
        self._number: int | None = None
        state = "failed"
        try:
            result = self._run()
            state = "done" if result.verified else "failed"
            return result
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            self._bench.close()
            if self._number is not None:
                self._save_state(state)

    def _run(self) -> Result:
        s = self.settings
        self.observer.stage("8-bit baseline")
        int8 = Scheme.uniform(self.graph.layer_names, 8)
        provenance = self.target.provenance(self._program(int8))
        self._identity = identity(self.graph, self.dataset, provenance, s.seed)
        config = {**asdict(s), "identity": self._identity, "model": self.graph.name, "dataset": self.dataset.name}
        number = self.store.campaign(json.loads(json.dumps(config)))
        row = self._row(number)
        if row["state"] == "done":
            return Result.from_json(row["result"])
        self._number = number
        self._save_state("running")
        stored = self.store.evaluations(number)
        searched = [e for e in stored if e.stage != "final"]

        baseline = searched[0] if searched and searched[0].status == "ok" else None
        replayed = baseline is not None
        if baseline is None:
            baseline = next(self._evaluate([Job(0, "baseline", int8)]))
        if baseline.cycles is None:
            raise MeasurementError(
                f"the 8-bit network could not be measured: {baseline.status}: {baseline.error}",
                cure="`mico doctor` checks the tools",
            )
        limit = int(s.fraction * baseline.cycles)
        self.observer.limit(baseline.cycles, limit)
        latency = network_latency(self.graph, provenance, seed=s.seed)
        self._memory = Memory(self.graph)
        searcher = open_searcher(s, self.graph, latency, self._memory, limit, self.probe)
        done = [self._take(baseline, searcher, latency, replayed)]
        refuse_impossible(s, searcher.space, self._memory, self._program)
        self._search(searcher, latency, searched[1:], done)

        self.observer.stage("full training of the best")
        choice, finals = self._choose(done, stored, limit)
        self._ledger = searcher.ledger.to_json()
        return self._conclude(baseline, choice, [*done, *finals], latency, limit, provenance.to_json())

    def _program(self, scheme: Scheme) -> Program:
        return self.build(self.quantiser.quantise(scheme).model)

    def _search(
        self, searcher: Searcher, latency: NetworkLatency, stored: list[Evaluation], done: list[Evaluation]
    ) -> None:
        self.observer.stage("search")
        while (left := self.settings.budget - sum(e.status == "ok" for e in done)) > 0 or stored:
            tail = done[-_GIVE_UP_AFTER:]
            if not stored and len(tail) == _GIVE_UP_AFTER and all(e.status != "ok" for e in tail):
                raise MeasurementError(
                    f"{_GIVE_UP_AFTER} schemes in a row failed, the last with {tail[-1].status}: {tail[-1].error}",
                    cure="repair the cause and run again: failures are tried again, nothing else is repeated",
                )
            count = max(1, min(self.settings.batch, left))
            known, stored = stored[:count], stored[count:]
            jobs = [Job.again(old) for old in known]
            if len(known) < count:  # stopped in the middle of a batch: what else was asked for is asked for again
                try:
                    asked = ask_several(searcher, count, latency, self._memory)[len(known) :]
                except SpaceExhaustedError:
                    break
                jobs += self._jobs(asked, searcher, latency, done[-1].position + 1 + len(known))
            fresh = self._evaluate([job for job in jobs if not job.done])
            for job in jobs:
                evaluation = job.known if job.done and job.known is not None else next(fresh)
                done.append(self._take(evaluation, searcher, latency, job.done))

    def _jobs(self, asked: list[Scheme], searcher: Searcher, latency: NetworkLatency, position: int) -> list[Job]:
        start = getattr(searcher, "initial", 0) - len(searcher.history)
        predicted = latency.predict(np.array([scheme.vector() for scheme in asked]))
        stages = ["start" if number < start else "search" for number in range(len(asked))]
        return [
            Job(position + number, stage, scheme, float(cycles))
            for number, (stage, scheme, cycles) in enumerate(zip(stages, asked, predicted, strict=True))
        ]

    def _take(self, evaluation: Evaluation, searcher: Searcher, latency: NetworkLatency, replayed: bool) -> Evaluation:
        """Teach both models what was measured; a failure teaches only not to ask again."""
        scheme = Scheme.from_json(evaluation.scheme)
        if evaluation.status == "ok" and evaluation.accuracy is not None and evaluation.cycles is not None:
            first = not searcher.history  # the 8-bit network, without which nothing can be predicted
            layers = [(layer.name, layer.cycles) for layer in evaluation.layers]
            if first:
                latency.observe(scheme, layers)
            searcher.tell(scheme, evaluation.accuracy, evaluation.cycles, measured_bytes(evaluation))
            if not first:  # a searcher that is told by replay first takes the step that it took before the measurement
                latency.observe(scheme, layers)
            self._memory.observe(evaluation)
        else:
            searcher.tell_failed(scheme)
        self.observer.evaluated(evaluation, replayed)
        return evaluation

    def _evaluate(self, jobs: Sequence[Job]) -> Iterator[Evaluation]:
        """Evaluate and commit, in their order."""
        for job, evaluation in zip(jobs, self._bench.evaluate_all(jobs, self._identity), strict=True):
            assert self._number is not None
            key = context(self._identity, full=job.full)
            self.store.save_evaluation(self._number, key, job.scheme.digest(), evaluation)
            self._save_state("running")
            yield evaluation

    def _choose(
        self, done: list[Evaluation], stored: list[Evaluation], limit: int
    ) -> tuple[Evaluation, list[Evaluation]]:
        """Train the most accurate feasible schemes fully, measure them again, and take the best of all versions."""
        feasible = sorted(self._fitting(done, limit), key=merit, reverse=True)
        if not feasible:
            raise nothing_fits(done, limit, self.settings)
        before = {Scheme.from_json(e.scheme): e for e in stored if e.stage == "final"}
        position = max(e.position for e in [*done, *stored]) + 1
        jobs = []
        for candidate in feasible[: self.settings.finalists]:
            scheme = Scheme.from_json(candidate.scheme)
            old = before.get(scheme)
            place = position if old is None else old.position
            position += old is None
            jobs.append(Job(place, "final", scheme, candidate.cycles, full=True, known=old))
        finals, fresh = [], self._evaluate([job for job in jobs if not job.done])
        for job in jobs:
            final = job.known if job.done and job.known is not None else next(fresh)
            self.observer.evaluated(final, job.done)
            finals.append(final)
        return max([*self._fitting(finals, limit), *feasible], key=merit), finals

    def _fitting(self, evaluations: list[Evaluation], limit: int) -> list[Evaluation]:
        return [e for e in evaluations if fits(e, limit, self.settings)]

    def _conclude(
        self,
        baseline: Evaluation,
        choice: Evaluation,
        evaluations: list[Evaluation],
        latency: NetworkLatency,
        limit: int,
        provenance: dict[str, Any],
    ) -> Result:
        assert self._number is not None
        bench, s = self._bench, self.settings
        self.observer.stage("verification on the target")
        full = choice.stage == "final"
        winner = self.quantiser.quantise(Scheme.from_json(choice.scheme), full=full).model
        program = self.build(winner)
        if program.digest != choice.program:
            raise MeasurementError(
                "the winner's integers are not those that were measured",
                where=str(choice.measurement)[:12],
                cure="its training was repeated and came out differently: use another seed, or one thread",
            )
        x = self.dataset.test.images[spread(len(self.dataset.test), s.verify_inputs)]
        mismatches = bench.compare(program, winner, x)
        base = self.quantiser.quantise(Scheme.from_json(baseline.scheme)).model
        self._save_state("running")
        result = Result(
            model=self.graph.name,
            dataset=self.dataset.name,
            seeds={"campaign": s.seed, **self.seeds},
            versions=versions(),
            fp32_accuracy=self.fp32_accuracy,
            int8={
                "accuracy_val": baseline.accuracy,
                "accuracy_test": self.quantiser.accuracy(base, "test"),
                "cycles": baseline.cycles,
            },
            evaluations=[evaluation_row(e) for e in evaluations],
            latency_model=scores(latency, evaluations),
            best={
                "scheme": dict(choice.scheme),
                "accuracy_val": choice.accuracy,
                "accuracy_test": self.quantiser.accuracy(winner, "test"),
                "cycles": choice.cycles,
                "flash_bytes": choice.flash_bytes,
                "ram_bytes": choice.ram_bytes,
                "method": choice.method,
                "measurement": choice.measurement,
                "layers": [[layer.name, layer.cycles] for layer in choice.layers],
                "counts": [[name, counts] for name, counts in bench.counts],
            },
            verify={"inputs": len(x), "mismatches": mismatches},
            wall_s=self._row(self._number)["wall_s"],
            constraint={"fraction": s.fraction, "cycles": limit} | s.bytes,
            searcher=s.searcher,
            counts={
                "measured": bench.measured,
                "looked_up": bench.looked_up,
                "failed": sum(e.status != "ok" for e in evaluations),
            },
            provenance=provenance,
            ledger=self._ledger,
        )
        if result.verified:
            self.store.set_campaign(self._number, "done", result=result.to_json())
        return result

    def _row(self, number: int) -> dict[str, Any]:
        return next(row for row in self.store.campaigns() if row["id"] == number)

    def _save_state(self, state: str) -> None:
        assert self._number is not None
        now = time.monotonic()
        self.store.set_campaign(self._number, state, add_wall_s=now - self._mark)
        self._mark = now


def explore(
    module: nn.Module,
    dataset: Dataset,
    target: Target | None = None,
    *,
    fraction: float = 0.6,
    budget: int = 24,
    seed: int = 0,
    recipe: Recipe | None = None,
    name: str | None = None,
    store: str | Path | Store | None = None,
    settings: Settings | None = None,
    observer: Observer | None = None,
    build: Callable[[IntegerModel], Program] | None = None,
    seeds: Mapping[str, int] | None = None,
    cluster: Cluster | None = None,
) -> Result:
    """Find the bits of every layer of a trained network, with every latency measured on *target*.

    Parameters
    ----------
    module
        Trained; takes pixels / 255 ``(N, C, H, W)``, gives logits ``(N, classes)``. Left as it is.
    target
        By default the simulated SoC.
    fraction, budget, seed
        As in :class:`Settings`, which replaces all three where it is given.
    recipe
        That of the float training, by default LeNet-5's: it sets how long schemes below 4 bits are trained.
    name
        Of the network; by default its class's.
    store
        A Store, or the path or URL of one; by default ``build/mico.sqlite``. The same call on the same store resumes,
        and once it is done returns the stored result.
    observer
        Is told what happens, for instance :class:`hil.report.Progress`.
    build
        From integers to what *target* runs; by default its own ``build``.
    seeds
        Other seeds that took part, for the record.
    cluster
        Its workers do the work; *target* is then by default the simulated SoC of whichever has one.

    Raises
    ------
    MicoError
        As :meth:`Campaign.run`; GraphError for a network that cannot be traced.
    """
    settings = settings or Settings(fraction=fraction, budget=budget, seed=seed)
    graph, calibration = prepare(trace(module, dataset.input_shape, name), dataset.calibration, seed=settings.seed)
    evaluator = Evaluator(graph, calibration, dataset, recipe or models.get("lenet5").RECIPE, seed=settings.seed)
    quantiser: Quantiser = evaluator if cluster is None else RemoteQuantiser(cluster, evaluator)
    if not isinstance(store, Store):
        store = Store(store or _ROOT / "build" / "mico.sqlite")
    target = target or (SocSim() if cluster is None else RemoteTarget(cluster, SocSim, SocSim(), "soc"))
    return Campaign(
        graph=graph,
        dataset=dataset,
        quantiser=quantiser,
        target=target,
        store=store,
        fp32_accuracy=accuracy(module, dataset.test),
        build=build or target.build,
        settings=settings,
        observer=observer or Observer(),
        seeds=seeds or {},
        probe=probe_of(graph, calibration, dataset, settings),
    ).run()
