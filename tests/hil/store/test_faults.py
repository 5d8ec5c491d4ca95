"""Real faults: full disk, no rights, a server that goes away: a clear error, nothing lost, and on it goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hil import database
from hil.store import Store
from hil.store_files import export
from hil.store_import import import_file
from mico.errors import StoreError
from tests.hil import double_target as double
from tests.hil.store.postgres import PostgresServer, programs
from tests.hil.store.samples import ROOT, X, fill, one_layer

MEASURE = """
import os, resource, signal, sys
from pathlib import Path
from hil.store import Store
from mico.errors import StoreError
from tests.hil.double_target import DoubleTarget, build
from tests.hil.store.samples import X, fill, one_layer

def measure(store, target, numbers):
    "Prints each key when it is acknowledged, and the error that ends it."
    for number in numbers:
        try:
            print(store.measure_once(target, build(one_layer(number)), X).key, flush=True)
        except StoreError as error:
            print("ERROR", error, flush=True)
            return number
"""
"""Start of the scripts below."""


def run(script: str, *, prefix: tuple[str, ...] = (), **options: Any) -> list[str]:
    """Lines that the script printed; it must end well."""
    command = [*prefix, sys.executable, "-c", MEASURE + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_full_disk_loses_nothing_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """The system refuses to let any file grow beyond 300 kB: first the log of the database, then its file."""
    where = tmp_path / "store.sqlite"
    lines = run(f"""
store, target = Store({str(where)!r}), DoubleTarget(Path({str(tmp_path / "log")!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
stopped = measure(store, target, range(1, 120))
assert all(store.lookup(key) for key in [row["key"] for row in store.measurements()])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("AGAIN")
assert measure(store, target, range(stopped, stopped + 3)) is None
""")
    keys = [line for line in lines if len(line) == 64]
    (error,) = [line for line in lines if line.startswith("ERROR")]
    assert "what was reported before is safe" in error
    assert str(where) in error
    assert lines.index("AGAIN") > 2
    store = Store(where)
    assert {row["key"] for row in store.measurements()} == set(keys)
    assert all(store.lookup(key) is not None for key in keys)


def _mounting() -> tuple[str, ...]:
    """A prefix for a command that may mount in a name space of its own."""
    prefix = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    if subprocess.run([*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount")
    return prefix


def test_a_full_file_system_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A file system of 1 MB, which another file fills."""
    lines = run(
        f"""
import subprocess
folder = Path({str(tmp_path)!r}) / "small"
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
store, target = Store(folder / "store.sqlite"), DoubleTarget(Path({str(tmp_path / "log")!r}))
assert measure(store, target, [1, 2, 3]) is None
with (folder / "ballast").open("wb", buffering=0) as ballast:
    try:
        while True: ballast.write(bytes(4096))
    except OSError as error:
        print(error)
stopped = measure(store, target, range(4, 120))
again = Store(folder / "store.sqlite")
print(len(again.measurements()), "can be read")
(folder / "ballast").unlink()
assert measure(again, target, range(stopped, stopped + 3)) is None
print(sorted(row["key"] for row in again.measurements()))
""",
        prefix=_mounting(),
    )
    keys = sorted(line for line in lines if len(line) == 64)
    (error,) = [line for line in lines if line.startswith("ERROR")]
    assert "free some space" in error or "its free space" in error
    assert f"{len(keys) - 3} can be read" in lines
    assert lines[-1] == str(keys)


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql")
def test_a_server_whose_disk_is_full_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """Its cluster is on a file system of 80 MB, which another file fills; it gives up when it cannot write its log."""
    lines = run(
        f"""
import subprocess, tempfile
from tests.hil.store.postgres import PostgresServer, programs
folder = Path(tempfile.mkdtemp(prefix="mico-pg-", dir="/tmp"))
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)], check=True)
server, target = PostgresServer(folder), DoubleTarget(Path({str(tmp_path / "log")!r}))
try:
    server.make()
    server.start()
    store = Store(server.database())
    assert measure(store, target, [1, 2, 3]) is None
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True: ballast.write(bytes(4096))
        except OSError:
            pass
    stopped = None
    for number in range(4, 40):
        stopped = measure(store, target, [number])
        if stopped: break
        try:
            fill(store, 300, seed=number)
        except StoreError as error:
            print("ERROR", error, flush=True)
            stopped = number + 1
            break
    (folder / "ballast").unlink()
    server.stop(signal.SIGQUIT)
    server.start()
    assert measure(store, target, range(stopped, stopped + 3)) is None
    present = set(row["key"] for row in store.measurements())
    print("PRESENT", *present)
finally:
    server.close()
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()
""",
        prefix=_mounting(),
    )
    keys = [line for line in lines if len(line) == 64]
    errors = [line for line in lines if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "what was reported before is safe" in errors[0].lower()
    assert set(keys) <= set(lines[-1].split())


def test_a_file_without_rights_is_read_or_refused_with_a_cure(tmp_path: Path) -> None:
    where = tmp_path / "lab" / "store.sqlite"
    store = Store(where)
    fill(store, 3, seed=1)
    store.close()
    where.chmod(0o444)
    where.parent.chmod(0o555)
    rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    if rights and shutil.which("setpriv") is None:
        pytest.skip("for root there are no rights, and there is no setpriv")
    lines = run(
        f"""
try:
    store = Store({str(where)!r})
    print(len(store.measurements()))
    store.campaign({{"seed": 1}})
except StoreError as error:
    print("ERROR", error)
""",
        prefix=rights,
    )
    where.parent.chmod(0o755)
    assert lines[-1].startswith(f"ERROR {where}: ")
    assert "writable" in lines[-1]
    assert lines[:-1] in ([], ["3"])


def test_an_export_to_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    fill(store, 5, seed=1)
    export(store, tmp_path / "a.jsonl")
    before = (tmp_path / "a.jsonl").read_bytes()
    fill(store, 100, seed=2)
    lines = run(f"""
from hil.store_files import export
store = Store({store.where!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    export(store, Path({str(tmp_path / "a.jsonl")!r}))
except StoreError as error:
    print("ERROR", error)
""")
    assert "the store is as it was" in lines[-1]
    assert (tmp_path / "a.jsonl").read_bytes() == before
    assert not list(tmp_path.glob(".a.jsonl*"))


def test_an_import_that_is_killed_leaves_nothing(where: str, tmp_path: Path) -> None:
    source = Store(tmp_path / "source.sqlite")
    fill(source, 60, seed=1)
    export(source, tmp_path / "a.jsonl")
    Store(where)
    command = f"""
from hil import store_import
merge = store_import._evaluations
def dying(connection, lines):
    merge(connection, lines)
    os.kill(os.getpid(), signal.SIGKILL)
store_import._evaluations = dying
store_import.import_file(Store({where!r}), Path({str(tmp_path / "a.jsonl")!r}))
"""
    done = subprocess.run([sys.executable, "-c", MEASURE + command], timeout=60, check=False, cwd=ROOT)
    assert done.returncode == -9
    store = Store(where)
    assert (store.measurements(), store.attempts()) == ([], [])
    assert import_file(store, tmp_path / "a.jsonl")["measurements"] == 60


def test_a_server_that_goes_away_loses_nothing_and_the_same_process_goes_on(
    fragile: PostgresServer, tmp_path: Path
) -> None:
    """Between two measurements, and while one runs; ended politely and as by a crash."""
    store = Store(fragile.database())
    keys, number = [], 0

    class Fatal(double.DoubleTarget):
        """Ends the server while it measures."""

        def measure(self, x: Any, *, laps: int = 2, warmup: int = 1) -> Any:
            run = super().measure(x, laps=laps, warmup=warmup)
            fragile.stop(how)
            return run

    for how in (signal.SIGINT, signal.SIGQUIT):
        for during in (False, True):
            target = double.DoubleTarget(tmp_path / "log")
            number += 1
            keys.append(store.measure_once(target, double.build(one_layer(number)), X).key)
            number += 1
            program = double.build(one_layer(number))
            if not during:
                fragile.stop(how)
            with pytest.raises(StoreError, match="hat was reported before is safe"):
                store.measure_once(Fatal(tmp_path / "log") if during else target, program, X)
            fragile.start()
            keys.append(store.measure_once(target, program, X, wait_s=0).key)
            assert {row["key"] for row in store.measurements()} == set(keys)
    assert all(Store(store.where).lookup(key) is not None for key in keys)
    assert [a["status"] for a in store.attempts()].count("lost") == 2


def test_a_server_that_is_not_there_names_a_cure(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is the server running") as caught:
        Store(f"postgresql://mico:secret@/lab?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_names_a_cure(server: PostgresServer) -> None:
    with pytest.raises(StoreError, match=r"does not exist.*create the role and the database"):
        Store(f"postgresql://mico@/nowhere?host={server.folder}")


def test_a_session_that_is_ended_is_opened_again(server: PostgresServer) -> None:
    """An administrator ends it; or a firewall forgets it."""
    store = Store(server.database())
    number = store.campaign({"seed": 1})
    with server.connect(store.where) as other:
        other.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    assert store.campaign({"seed": 1}) == number


def test_a_writer_that_does_not_end_is_an_error_after_a_while(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = Store(where), Store(where)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    with other._write():
        start = time.monotonic()
        with pytest.raises(StoreError, match=r"another program (holds|has been writing)"):
            store.campaign({"seed": 1})
        assert time.monotonic() - start < 10
        assert store.campaigns() == []  # readers do not wait
    assert store.campaign({"seed": 1}) == 1


def test_a_child_does_not_share_the_connections_of_its_parent(where: str, tmp_path: Path) -> None:
    """Four children of a fork, and a thread of the parent, use the same Store at once."""
    store, log = Store(where), tmp_path / "log"
    fill(store, 20, seed=1)
    pids = []

    def work(start: int) -> None:
        for number in range(start, start + 4):
            store.measure_once(double.DoubleTarget(log), double.build(one_layer(number)), X)

    for child in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(10 * child)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    thread = threading.Thread(target=work, args=(50,))
    thread.start()
    thread.join(60)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
    assert len(store.measurements()) == 20 + 5 * 4
    assert [a["status"] for a in store.attempts()[20:]] == ["ok"] * 20
