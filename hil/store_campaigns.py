"""The store's campaigns, and their evaluations."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, insert, select, update

from hil import schema as t
from hil.database import Database
from hil.records import Evaluation, clean
from hil.targets.base import LayerCycles

__all__ = ["Campaigns"]


class Campaigns(Database):
    """A database with campaigns."""

    def campaign(self, config: Mapping[str, Any]) -> int:
        """Number of the campaign with this configuration; made if new."""
        key = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
        now = time.time()
        with self._write() as connection:
            number = connection.scalar(select(t.campaigns.c.id).where(t.campaigns.c.key == key))
            if number is None:
                values = {"key": key, "config": dict(config), "state": "running", "wall_s": 0.0}
                inserted = connection.execute(insert(t.campaigns).values(**values, created=now, updated=now))
                assert inserted.inserted_primary_key is not None
                number = inserted.inserted_primary_key[0]
            return int(number)

    def set_campaign(
        self, number: int, state: str, *, add_wall_s: float = 0.0, result: Mapping[str, Any] | None = None
    ) -> None:
        """Set the state, add to the time spent, and set the result if one is given."""
        values: dict[str, Any] = {"state": state, "updated": time.time()}
        if result is not None:
            values["result"] = dict(result)
        with self._write() as connection:
            connection.execute(
                update(t.campaigns)
                .where(t.campaigns.c.id == number)
                .values(**values, wall_s=t.campaigns.c.wall_s + add_wall_s)
            )

    def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns, oldest first, with their number of evaluations."""
        count = (
            select(func.count())
            .where(t.evaluations.c.campaign == t.campaigns.c.id)
            .scalar_subquery()
            .label("evaluated")
        )
        with self._read() as connection:
            query = select(t.campaigns, count).order_by(t.campaigns.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def save_evaluation(self, campaign: int, context: str, digest: str, evaluation: Evaluation) -> None:
        """Write the evaluation, over the one at its position if there is one (a failure that was tried again)."""
        e = evaluation
        values = {
            "stage": e.stage,
            "context": context,
            "scheme": {name: dict(bits) for name, bits in e.scheme.items()},
            "scheme_digest": digest,
            "method": e.method,
            "accuracy": e.accuracy,
            "seconds": e.seconds,
            "predicted_cycles": e.predicted_cycles,
            "program": e.program,
            "measurement": e.measurement,
            "status": e.status,
            "error": clean(e.error),
            "created": time.time(),
        }
        here = (t.evaluations.c.campaign == campaign) & (t.evaluations.c.position == e.position)
        with self._write() as connection:
            if connection.execute(update(t.evaluations).where(here).values(**values)).rowcount == 0:
                connection.execute(insert(t.evaluations).values(campaign=campaign, position=e.position, **values))

    def evaluations(self, campaign: int) -> list[Evaluation]:
        """Evaluations of a campaign in the order in which the searcher was told."""
        return self._evaluations(t.evaluations.c.campaign == campaign)

    def known_evaluation(self, context: str, digest: str) -> Evaluation | None:
        """A successful evaluation of the same scheme in the same context, from any campaign."""
        c = t.evaluations.c
        found = self._evaluations((c.context == context) & (c.scheme_digest == digest) & (c.status == "ok"))
        return found[0] if found else None

    def _evaluations(self, where: Any) -> list[Evaluation]:
        m = t.measurements.c
        query = (
            select(t.evaluations, m.cycles, m.layers, m.flash_bytes, m.ram_bytes)
            .join(t.measurements, (m.key == t.evaluations.c.measurement) & (m.status == "ok"), isouter=True)
            .where(where)
            .order_by(t.evaluations.c.position, t.evaluations.c.id)
        )
        with self._read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Evaluation(
                **{name: row[name] for name in Evaluation.__dataclass_fields__ if name != "layers"},
                layers=tuple(LayerCycles(name, cycles) for name, cycles in row["layers"] or ()),
            )
            for row in rows
        ]
