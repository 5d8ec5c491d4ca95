"""What a user decides of a campaign, and what a campaign tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from hil.records import Evaluation
from mico.errors import UsageError
from mico.quant.scheme import BITS
from mico.search.registry import DEFAULT
from mico.search.registry import NAMES as SEARCHERS

__all__ = ["SEARCHERS", "Observer", "Settings"]


@dataclass(frozen=True)
class Settings:
    """What a user decides of a campaign.

    Attributes
    ----------
    fraction
        Cycles allowed, as a fraction of the measured cycles of the 8-bit network.
    budget
        Evaluations with a measured latency, that of the 8-bit network included, the finalists' full training aside.
    seed
        Of search, quantisation and training.
    searcher
        One of SEARCHERS.
    weight_bits, activation_bits
        Widths to choose from.
    finalists
        How many of the best are trained fully before the choice.
    verify_inputs
        Test images of which every logit on the target is compared in the end.
    batch
        Schemes that are asked for at once, so that several can be evaluated side by side; part of what the campaign is.
    max_flash, max_ram
        Bytes that the program may take; None for no limit.
    """

    fraction: float = 0.6
    budget: int = 24
    seed: int = 0
    searcher: str = DEFAULT
    weight_bits: tuple[int, ...] = BITS
    activation_bits: tuple[int, ...] = BITS
    finalists: int = 2
    verify_inputs: int = 100
    batch: int = 1
    max_flash: int | None = None
    max_ram: int | None = None

    def __post_init__(self) -> None:
        if not self.fraction > 0:
            raise UsageError(f"the fraction must be positive, not {self.fraction}")
        if self.budget < 2:
            raise UsageError(f"a budget of {self.budget} leaves nothing to search", cure="the 8-bit network takes one")
        if self.searcher not in SEARCHERS:
            raise UsageError(f"no searcher {self.searcher!r}", cure=f"one of {', '.join(SEARCHERS)}")
        if self.finalists < 1 or self.verify_inputs < 1 or self.batch < 1:
            raise UsageError("finalists, verify_inputs and batch must be at least 1")
        for limit in (self.max_flash, self.max_ram):
            if limit is not None and limit < 1:
                raise UsageError(f"a limit of {limit} bytes leaves room for nothing")

    @property
    def bytes(self) -> dict[str, int]:
        """The limits of bytes that there are."""
        limits = {"flash_bytes": self.max_flash, "ram_bytes": self.max_ram}
        return {name: limit for name, limit in limits.items() if limit is not None}


class Observer:
    """What a campaign tells while it runs; these methods do nothing. ``hil.report.Progress`` shows it."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""

    def limit(self, baseline_cycles: int, limit_cycles: int) -> None:
        """The 8-bit network was measured."""

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
        """An evaluation was committed, or taken from the store by the replay."""
