"""Leases and quarantine, with real processes, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from hil import leases as module
from hil import schema as t
from hil.leases import FAILURES, Holder, Leases
from hil.store import Store
from mico.errors import DeviceError, FlashError, ProtocolTimeout

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys, time
from hil.leases import Leases
from hil.store import Store
with Leases(Store(sys.argv[1])).hold("soc-0", "test holder") as lease:
    print("held", flush=True)
    for line in sys.stdin:
        lease.check()
        print("still", flush=True)
"""


@pytest.fixture
def leases(where: str) -> Leases:
    return Leases(Store(where))


@contextmanager
def holder(leases: Leases) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, leases.store.where]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_held_target_is_refused_with_who_holds_it_and_free_when_given_back(leases: Leases) -> None:
    with holder(leases) as process:
        with pytest.raises(DeviceError, match=f"held by process {process.pid} on .*test holder") as caught:
            leases.hold("soc-0", "another")
        assert caught.value.exit_code == 3
        assert leases.holders()["soc-0"].pid == process.pid
        with leases.hold("soc-1", "another target"):
            assert set(leases.holders()) == {"soc-0", "soc-1"}
        process.communicate("")
        assert leases.holders() == {}
        leases.hold("soc-0", "next").close()


def test_kill_9_of_a_holder_frees_its_target_at_once(leases: Leases) -> None:
    with holder(leases) as process:
        process.kill()
        process.wait()
        with leases.hold("soc-0", "next") as lease:
            lease.check()


def test_waiting_ends_when_the_holder_does(leases: Leases) -> None:
    with holder(leases) as process:
        assert process.stdin is not None
        start = time.monotonic()
        subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process.pid}"])
        leases.hold("soc-0", "patient", wait_s=60).close()
        assert 0.4 < time.monotonic() - start < 30


def test_a_stopped_holder_whose_lease_was_taken_hears_so_at_its_next_use(leases: Leases) -> None:
    with holder(leases) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("x\n")
        process.stdin.flush()
        assert process.stdout.readline() == "still\n"
        process.send_signal(signal.SIGSTOP)
        taken = leases.release("soc-0", force=True)
        assert taken is not None
        assert taken.pid == process.pid
        with leases.hold("soc-0", "the next one") as lease:
            process.send_signal(signal.SIGCONT)
            process.stdin.write("x\n")
            process.stdin.flush()
            assert process.wait(60) != 0
            lease.check()  # the one that lost it has not touched ours


def _elsewhere(leases: Leases, expires_in_s: float) -> Holder:
    """A lease from another machine, as that machine would have written it."""
    now = time.time()
    found = Holder("soc-0", "elsewhere.example", os.getpid(), 1, "far", now - 60, now + expires_in_s)
    with leases.store._write() as connection:
        connection.execute(insert(t.leases).values(**found.__dict__))
    return found


def test_a_holder_on_another_machine_is_believed_until_its_lease_ends(leases: Leases) -> None:
    far = _elsewhere(leases, 3.0)
    with pytest.raises(DeviceError, match=r"elsewhere\.example"):
        leases.hold("soc-0", "near")
    assert leases.is_held(far)
    with leases.hold("soc-0", "near", wait_s=60):
        assert not leases.is_held(far)
        assert not leases.renew(far)
        leases.give_back(far)
        assert leases.holders()["soc-0"].purpose == "near"


def test_the_heartbeat_renews_a_lease(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    with leases.hold("soc-0", "beating") as lease:
        with leases.store._write() as connection:
            connection.execute(update(t.leases).values(expires=0.0))
        deadline = time.monotonic() + 60
        while leases.holders()["soc-0"].expires == 0.0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert leases.holders()["soc-0"].expires > time.time() + 5
        lease.close()
        with pytest.raises(DeviceError, match="lost"):
            lease.check()


def test_of_many_that_ask_at_once_one_has_it(leases: Leases) -> None:
    script = """
import sys, time
from hil.leases import Lease, Leases
from hil.store import Store
leases = Leases(Store(sys.argv[1]))
time.sleep(max(0, float(sys.argv[2]) - time.time()))
found = leases.take("soc-0", "race")
print(isinstance(found, Lease), flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, leases.store.where, str(time.time() + 3)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    answers = [process.stdout.readline() for process in processes if process.stdout is not None]
    for process in processes:
        process.communicate("")
    assert sorted(answers) == ["False\n"] * 3 + ["True\n"]


def test_three_failures_in_a_row_quarantine_a_target_until_it_is_released(leases: Leases) -> None:
    errors = (DeviceError("unplugged"), FlashError("bad image"), ProtocolTimeout("silent"))
    leases.failed("soc-0", errors[0])
    leases.failed("soc-0", errors[1])
    leases.succeeded("soc-0")
    for number, error in enumerate(errors, 1):
        assert leases.failed("soc-0", error).quarantined == (number == FAILURES)
    with pytest.raises(DeviceError, match=r"quarantined: 3 failures in a row, the last: silent.*targets release soc-0"):
        leases.hold("soc-0", "next")
    leases.succeeded("soc-0")
    assert leases.health()["soc-0"].quarantined
    assert leases.release("soc-0") is None
    leases.hold("soc-0", "next").close()
    assert leases.health()["soc-0"].failures == 0
