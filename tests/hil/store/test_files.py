"""Export and import: a copy is the same in every byte, twice is once, and nothing wrong gets in."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hil.schema import SCHEMA_VERSION
from hil.store import Store
from hil.store_files import export
from hil.store_import import import_file
from mico.errors import DeviceError, StoreError, UsageError
from tests.hil import double_target as double
from tests.hil.store.postgres import PostgresServer
from tests.hil.store.samples import X, fill, one_layer

ROWS = 30


@pytest.fixture
def filled(store: Store, target: double.DoubleTarget) -> Store:
    """Seed 5; a failure that was tried again, and counters."""
    fill(store, ROWS, seed=5)
    target.fail_next = [DeviceError("died")]
    with pytest.raises(DeviceError):
        store.measure_once(target, double.build(one_layer()), X)
    key = store.measure_once(target, double.build(one_layer()), X).key
    store.save_counts(key, [("fc", {"cycles": 7, "stalls": 0})])
    store.set_campaign(1, "done", result={"best": None})
    return store


def body(file: Path) -> list[bytes]:
    """All but the header, which says when it was exported, and the end, whose digest is of that too."""
    return file.read_bytes().splitlines()[1:-1]


def rewrite(file: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """The file with its lines changed and its digest made right again."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(lines)
    text = "".join(json.dumps(line) + "\n" for line in lines[:-1])
    lines[-1]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(text + json.dumps(lines[-1]) + "\n")
    return file


def first(lines: list[dict[str, Any]], table: str, status: str | None = None) -> dict[str, Any]:
    return next(x["row"] for x in lines if x.get("table") == table and status in (None, x["row"].get("status")))


def test_a_copy_in_the_other_database_is_the_same(
    filled: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "://" in filled.where:
        other = str(tmp_path / "copy.sqlite")
    else:
        server: PostgresServer = request.getfixturevalue("server")
        other = server.database()
    rows = export(filled, tmp_path / "a.jsonl")
    assert rows == {"measurements": 31, "counts": 1, "attempts": 32, "campaigns": 1, "evaluations": 30}
    copy = Store(other)
    assert import_file(copy, tmp_path / "a.jsonl") == rows
    export(copy, tmp_path / "b.jsonl")
    assert body(tmp_path / "a.jsonl") == body(tmp_path / "b.jsonl")
    measured = [row["key"] for row in filled.measurements() if row["status"] == "ok"]
    assert [copy.lookup(key) for key in measured] == [filled.lookup(key) for key in measured]
    assert copy.evaluations(1) == filled.evaluations(1)


def test_importing_twice_changes_nothing(filled: Store, tmp_path: Path) -> None:
    export(filled, tmp_path / "a.jsonl")
    assert set(import_file(filled, tmp_path / "a.jsonl").values()) == {0}
    copy = Store(tmp_path / "copy.sqlite")
    import_file(copy, tmp_path / "a.jsonl")
    assert set(import_file(copy, tmp_path / "a.jsonl").values()) == {0}
    export(copy, tmp_path / "b.jsonl")
    assert body(tmp_path / "a.jsonl") == body(tmp_path / "b.jsonl")


def test_two_stores_are_joined(filled: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other.sqlite")
    other.campaign({"model": "another"})  # so that numbers differ
    fill(other, 10, seed=6)
    export(other, tmp_path / "other.jsonl")
    added = import_file(filled, tmp_path / "other.jsonl")
    assert (added["measurements"], added["campaigns"], added["evaluations"]) == (10, 2, 10)
    number = next(row["id"] for row in filled.campaigns() if row["config"].get("seed") == 6)
    assert filled.evaluations(number) == other.evaluations(2)
    assert len(filled.measurements()) == 41


def test_another_success_under_the_same_key_is_an_error_and_nothing_changes(filled: Store, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    export(filled, file)

    def change(lines: list[dict[str, Any]]) -> None:
        first(lines, "measurements", "ok")["cycles"] += 1

    before = filled.measurements(), filled.attempts(), filled.evaluations(1)
    with pytest.raises(StoreError, match=r"a\.jsonl:2: measurement .* has cycles .* in the store it has"):
        import_file(filled, rewrite(file, change))
    assert (filled.measurements(), filled.attempts(), filled.evaluations(1)) == before


def test_a_success_takes_the_place_of_a_failure_and_never_the_other_way(filled: Store, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    export(filled, file)

    def fail(lines: list[dict[str, Any]]) -> None:
        row = first(lines, "measurements", "ok")
        row |= dict.fromkeys(("cycles", "samples", "layers", "outputs")) | {"status": "device", "error": "died"}
        for line in lines:
            if line.get("table") == "evaluations" and line["row"]["measurement"] == row["key"]:
                line["row"] |= {"status": "device", "error": "died", "measurement": None}
            if line.get("table") == "attempts" and line["row"]["key"] == row["key"]:
                line["row"] |= {"status": "device", "error": "died", "started": 1.0}

    failed = Store(tmp_path / "failed.sqlite")
    worse = (
        rewrite(tmp_path / "worse.jsonl", fail) if (tmp_path / "worse.jsonl").write_bytes(file.read_bytes()) else file
    )
    import_file(failed, worse)
    key = failed.measurements()[0]["key"]
    assert failed.lookup(key) is None
    assert import_file(failed, file)["measurements"] == 1
    assert failed.lookup(key) == filled.lookup(key)
    assert failed.evaluations(1) == filled.evaluations(1)
    assert [a["status"] for a in failed.attempts(key)] == ["device", "ok"]
    import_file(filled, worse)
    assert filled.lookup(key) == failed.lookup(key)


def _of_failure(lines: list[dict[str, Any]]) -> None:
    first(lines, "measurements", "timeout")["cycles"] = 1_000_000_000


def _of_success(lines: list[dict[str, Any]]) -> None:
    first(lines, "measurements", "ok")["samples"] = []


def _of_provenance(lines: list[dict[str, Any]]) -> None:
    first(lines, "measurements", "ok")["clock_hz"] *= 2


def _of_type(lines: list[dict[str, Any]]) -> None:
    first(lines, "measurements", "ok")["cycles"] = "many"


def _of_column(lines: list[dict[str, Any]]) -> None:
    del first(lines, "attempts")["pid"]


def _of_table(lines: list[dict[str, Any]]) -> None:
    lines[3]["table"] = "leases"


def _of_campaign(lines: list[dict[str, Any]]) -> None:
    first(lines, "evaluations")["campaign"] = "f" * 64


def _of_measurement(lines: list[dict[str, Any]]) -> None:
    first(lines, "evaluations", "ok")["measurement"] = "f" * 64


def _of_end(lines: list[dict[str, Any]]) -> None:
    del lines[4]


def _of_version(lines: list[dict[str, Any]]) -> None:
    lines[0]["schema"] = SCHEMA_VERSION + 1


def _of_format(lines: list[dict[str, Any]]) -> None:
    del lines[0]["format"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_of_failure, "status 'timeout' with such numbers"),
        (_of_success, "status 'ok' with such numbers"),
        (_of_provenance, "not what its key says"),
        (_of_type, "'cycles' cannot be 'many'"),
        (_of_column, "'pid' is missing"),
        (_of_table, "no row of a store"),
        (_of_campaign, "campaign ffffffffffff is missing"),
        (_of_measurement, "measurement ffffffffffff is missing"),
        (_of_end, "should have"),
        (_of_version, "update this program"),
        (_of_format, "no export of a store"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_imported(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], message: str
) -> None:
    source, empty = Store(tmp_path / "source.sqlite"), Store(tmp_path / "empty.sqlite")
    fill(source, ROWS, seed=5)
    export(source, tmp_path / "a.jsonl")
    with pytest.raises(StoreError, match=message):
        import_file(empty, rewrite(tmp_path / "a.jsonl", change))
    assert (empty.measurements(), empty.campaigns(), empty.attempts()) == ([], [], [])


def test_no_changed_or_missing_byte_gets_in(tmp_path: Path) -> None:
    """Each of 60 places spread over the file, and each of 20 lengths."""
    source, empty = Store(tmp_path / "source.sqlite"), Store(tmp_path / "empty.sqlite")
    fill(source, 3, seed=5)
    export(source, tmp_path / "a.jsonl")
    data = (tmp_path / "a.jsonl").read_bytes()
    damaged = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data) - 1, len(data) // 60)]
    damaged += [data[:length] for length in range(0, len(data) - 1, len(data) // 20)]
    for case in damaged:
        (tmp_path / "b.jsonl").write_bytes(case)
        with pytest.raises(StoreError):
            import_file(empty, tmp_path / "b.jsonl")
    assert (empty.measurements(), empty.campaigns(), empty.attempts()) == ([], [], [])


def test_parquet_and_csv_have_every_measurement_and_no_number_for_a_failure(filled: Store, tmp_path: Path) -> None:
    assert export(filled, tmp_path / "a.parquet") == export(filled, tmp_path / "a.csv") == {"measurements": 31}
    rows = filled.measurements()
    table = pq.read_table(tmp_path / "a.parquet").to_pylist()
    with (tmp_path / "a.csv").open(newline="") as source:
        lines = list(csv.DictReader(source))
    assert len(table) == len(lines) == len(rows)
    for row, cells, line in zip(rows, table, lines, strict=True):
        layers = None if row["layers"] is None else [{"name": n, "cycles": c} for n, c in row["layers"]]
        assert cells["layers"] == layers
        for name in ("key", "cycles", "samples", "outputs", "status", "error", "created", "clock_hz"):
            assert cells[name] == row[name]
        for name in ("samples", "layers", "outputs", "tools"):
            assert (json.loads(line[name]) if line[name] else None) == row[name]
        if row["status"] == "ok":
            assert cells["latency_us"] == float(line["latency_us"]) == row["cycles"] / row["clock_hz"] * 1e6
        else:
            assert (cells["cycles"], cells["latency_us"], line["cycles"], line["latency_us"]) == (None, None, "", "")


def test_other_formats_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.jsonl, \.parquet or \.csv"):
        export(store, tmp_path / "a.xlsx")


def test_a_file_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"a\.jsonl: cannot be written"):
        export(store, tmp_path / "a.jsonl")
    assert [path.name for path in tmp_path.iterdir() if "a.jsonl" in path.name] == ["a.jsonl"]


def test_attempts_under_way_stay_here(store: Store, tmp_path: Path) -> None:
    assert isinstance(store._claim("a" * 64), int)
    assert export(store, tmp_path / "a.jsonl")["attempts"] == 0
