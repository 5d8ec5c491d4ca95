"""Tables of the store, schema version 2. What they mean and how they are written is in ``store.py``.

A change here is a new version: `migrations.py` takes older databases to it.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "SCHEMA_VERSION",
    "attempts",
    "campaigns",
    "claims",
    "counts",
    "evaluations",
    "health",
    "leases",
    "measurements",
    "meta",
    "metadata",
]

SCHEMA_VERSION = 2

metadata = MetaData()

meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))

measurements = Table(
    "measurements",
    metadata,
    Column("key", String(64), primary_key=True),  # Provenance.key()
    Column("kind", String, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("hardware", String, nullable=False),
    Column("firmware", String, nullable=False),
    Column("program", String, nullable=False),
    Column("clock_hz", BigInteger, nullable=False),
    Column("status", String, nullable=False),  # ok, failed, timeout, device, flash, protocol, wrong
    Column("error", Text),  # NULL when ok
    Column("cycles", BigInteger),  # NULL on failure, always
    Column("samples", JSON(none_as_null=True)),  # raw laps
    Column("layers", JSON(none_as_null=True)),  # [[name, cycles], ...] in execution order
    Column("outputs", JSON(none_as_null=True)),  # logits of the timed input
    Column("model", String, nullable=False),
    Column("flash_bytes", Integer, nullable=False),
    Column("ram_bytes", Integer, nullable=False),
    Column("toolchain", Text, nullable=False),
    Column("tools", JSON, nullable=False),  # versions of everything else that took part
    Column("created", Float, nullable=False),  # Unix time, s
)

# What the profiling counters said of each layer of a measurement, where the target has them: in a lap of its own.
counts = Table(
    "counts",
    metadata,
    Column("key", String(64), ForeignKey("measurements.key"), primary_key=True),
    Column("layers", JSON, nullable=False),  # [[name, {counter: N}], ...] in execution order
)

# Every start of a measurement, whatever became of it: `running` rows of dead processes become `lost`.
attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, index=True),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("status", String, nullable=False),
    Column("error", Text),
    Column(
        "samples", JSON(none_as_null=True)
    ),  # raw laps of this attempt, also of one that failed; NULL: there were none
    Column("target", String),  # its name in the lab, where it has one
)
Index(
    "attempts_one_ok_per_key",
    attempts.c.key,
    unique=True,
    sqlite_where=attempts.c.status == "ok",
    postgresql_where=attempts.c.status == "ok",
)

# Who is measuring a key at the moment.
claims = Table(
    "claims",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", BigInteger, nullable=False),  # start time of the process: pids are used again
    Column("expires", Float, nullable=False),
)

# Who uses a target of the lab at the moment.
leases = Table(
    "leases",
    metadata,
    Column("target", String, primary_key=True),  # its name in lab.toml
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", BigInteger, nullable=False),  # as in claims
    Column("purpose", String, nullable=False),
    Column("acquired", Float, nullable=False),
    Column("expires", Float, nullable=False),  # renewed by the holder's heartbeat
)

# What is known of a target of the lab: how often it failed in a row, and whether it is left alone for that.
health = Table(
    "health",
    metadata,
    Column("target", String, primary_key=True),
    Column("state", String, nullable=False),  # ok, quarantined
    Column("failures", Integer, nullable=False),  # in a row
    Column("reason", Text),
    Column("updated", Float, nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),  # digest of config
    Column("config", JSON, nullable=False),
    Column("state", String, nullable=False),  # running, interrupted, failed, done
    Column("result", JSON(none_as_null=True)),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    Column("wall_s", Float, nullable=False),  # summed over all sessions
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign", Integer, ForeignKey("campaigns.id"), nullable=False),
    Column("position", Integer, nullable=False),  # order in which the searcher was told
    Column("stage", String, nullable=False),  # baseline, start, search, final
    Column("context", String(64), nullable=False),  # everything but the scheme that decides accuracy and cycles
    Column("scheme", JSON, nullable=False),
    Column("scheme_digest", String(64), nullable=False),
    Column("method", String),  # ptq, qat, ...
    Column("accuracy", Float),  # validation, 0..1; NULL when it could not be computed
    Column("seconds", Float),  # quantisation and training
    Column("predicted_cycles", Float),
    Column("program", String(64)),
    Column("measurement", String(64), ForeignKey("measurements.key")),
    Column("status", String, nullable=False),
    Column("error", Text),
    Column("created", Float, nullable=False),
    UniqueConstraint("campaign", "position"),
    UniqueConstraint("campaign", "stage", "scheme_digest"),
    Index("evaluations_by_context", "context", "scheme_digest"),
)
