"""Families of fault scenarios: what is damaged, how, and how it is checked. Every scenario runs alone by its seed.

Each function takes the numbers of its scenarios and yields their outcomes (`hil.torture.Outcome`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import resource
import signal
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import docker

from hil.faults.leftovers import Leftovers
from hil.leases import Leases
from hil.store import Store
from hil.targets.base import Program
from hil.targets.console_target import ConsoleTarget
from hil.torture import Outcome, Subject, torture
from mico.errors import MicoError, StoreError
from tests.hil.faults.host_board import HostBoard, cycles_of, logits_of, make_input, make_program

BOARD_SPAN = 4300
"""Bytes that a measurement on the host board moves."""
X = make_input(2)
_PR_SET_CHILD_SUBREAPER = 36


def make_board() -> HostBoard:
    board = HostBoard(timeout_s=0.4, infer_timeout_s=1.0)
    board.flash_timeout_s, board.flash_retries = 0.15, 6
    return board


def of_board(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Line and process of a board whose loader and console run as a process: real protocol, no simulated core."""
    program, board = make_program(1), make_board()
    subject = Subject(program, X, logits_of(X), cycles_of(program))
    for seed in seeds:
        yield from torture(board, subject, seed=seed, count=1, actions=board.actions(), span=BOARD_SPAN).outcomes


def _picture_on(target: ConsoleTarget) -> Subject:
    """A small network, and what it gives and takes on *target* without faults; patience with faults is set short."""
    from tests.hil.targets.programs import inputs, picture

    target.flash_timeout_s, target.flash_retries = 0.5, 6
    model = picture()
    x, program = inputs(model, 1, 1), target.build(model)
    with target:
        target.flash(program)
        run = target.measure(x)
    return Subject(program, x, model.run(x).reshape(1, -1), run.cycles)


def of_soc(seeds: Iterable[int]) -> Iterator[Outcome]:
    """The same on the simulated SoC, with its real boot ROM, firmware and kernels."""
    from hil.targets.soc_sim import SocSim

    target = SocSim(timeout_s=6.0, infer_timeout_s=8.0)
    subject = _picture_on(target)
    span = len(subject.program.image)

    def to(number: signal.Signals) -> Callable[[float], None]:
        def send(_seconds: float) -> None:
            with contextlib.suppress(MicoError, ProcessLookupError):
                os.kill(target.pid, number)

        return send

    actions = {"kill": to(signal.SIGKILL), "hang": to(signal.SIGSTOP)}
    for seed in seeds:
        yield from torture(target, subject, seed=seed, count=1, actions=actions, span=span).outcomes


def of_container(seeds: Iterable[int]) -> Iterator[Outcome]:
    """The simulated SoC in a container, which is killed or paused; no container is left in the end."""
    from hil.engine import connect
    from hil.targets.container import ContainerTarget

    target = ContainerTarget(name="torture", timeout_s=8.0, infer_timeout_s=12.0)
    subject = _picture_on(target)
    span = len(subject.program.image)

    def to(method: str) -> Callable[[float], None]:
        def act(_seconds: float) -> None:
            with contextlib.suppress(MicoError, docker.errors.APIError), contextlib.closing(connect()) as client:
                getattr(client.containers.get(target.container_id), method)()  # unless closed, or dead already

        return act

    actions = {"kill": to("kill"), "hang": to("pause")}
    kinds = (*actions, "cut", "disconnect", "flip", "drop")
    for seed in seeds:
        report = torture(target, subject, seed=seed, count=1, kinds=kinds, actions=actions, span=span)
        with contextlib.closing(connect()) as client:
            left = client.containers.list(all=True, filters={"label": "mico.target=torture"})
        notes = tuple(f"container {container.short_id} is left" for container in left)
        for outcome in report.outcomes:
            yield replace(outcome, leftovers=outcome.leftovers + notes)


# ---------------------------------------------------------------- the measuring process itself


def adopt_orphans() -> None:
    """Processes that outlive their parents below this one become its children, so that they are seen."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def measuring(where: str, seed: int, *, file_limit: int = 0) -> Iterator[tuple[int, int]]:
    """A child that measures one program after the other; its pid, and a pipe with a line for each one that the store
    acknowledged, or with the error that ended it."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        code = 1
        try:
            code = _measure_on(where, seed, write_end, file_limit)
        except KeyboardInterrupt:
            code = 130
        except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write_end)
    try:
        yield pid, read_end
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read_end)


def _measure_on(where: str, seed: int, out: int, file_limit: int) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it runs in the background
    if file_limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    board = make_board()
    try:
        store = Store(where)
        with Leases(store).hold("board", "fault scenario", wait_s=5.0) as lease, board:
            if file_limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
            for number in range(500):
                program = make_program(1000 * seed + number, 300)
                measured = store.measure_once(board, program, X, expected=logits_of(X))
                lease.check()
                os.write(out, f"{number} {measured.cycles}\n".encode())
    except MicoError as error:
        os.write(out, f"{type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
    return 0


def read_lines(pipe: int, until: Callable[[list[str]], bool] = lambda _: False) -> list[str]:
    """Lines of a pipe, up to its end or until enough is read."""
    text = b""
    while not until(lines := text.decode().split("\n")[:-1]) and (data := os.read(pipe, 4096)):
        text += data
    return lines


def check_store(where: str, seed: int, said: list[str], board: HostBoard) -> tuple[bool, bool, bool, list[str]]:
    """Of a store and what was acknowledged of it: wrong number, lost measurement, stuck target, and notes."""
    notes: list[str] = []
    store = Store(where)
    programs: dict[str, Program] = {}
    for number in range(500):
        program = make_program(1000 * seed + number, 300)
        programs[program.digest] = program
    by_number = list(programs.values())
    rows = {row["program"]: row for row in store.measurements()}
    wrong = any(
        row["cycles"] != cycles_of(programs[digest]) or row["outputs"] != logits_of(X).ravel().tolist()
        for digest, row in rows.items()
        if row["status"] == "ok"
    )
    wrong |= any(row["cycles"] is not None for row in rows.values() if row["status"] != "ok")
    acknowledged = [int(line.split()[0]) for line in said if line[0].isdecimal()]
    lost = [n for n in acknowledged if rows.get(by_number[n].digest, {}).get("status") != "ok"]
    if lost:
        notes.append(f"of {len(acknowledged)} acknowledged, lost: {lost}")
    stuck = False
    try:
        program = by_number[-1]
        with Leases(store).hold("board", "afterwards", wait_s=3.0), board:
            measured = store.measure_once(board, program, X, expected=logits_of(X), wait_s=3.0)
        wrong |= measured.cycles != cycles_of(program)
    except MicoError as error:
        stuck = True
        notes.append(f"afterwards: {error}")
    store.close()
    return wrong, bool(lost), stuck, notes


def of_holder(seeds: Iterable[int]) -> Iterator[Outcome]:
    """The process that measures is killed; its lease, its claim and its board must be free at once."""
    with tempfile.TemporaryDirectory(prefix="mico-lab-") as folder:
        for seed in seeds:
            rng = random.Random(seed)
            how = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            started, before = time.monotonic(), Leftovers.now()
            where = str(Path(folder) / f"{seed}.sqlite")
            with measuring(where, seed) as (pid, pipe):
                time.sleep(rng.uniform(0.0, 1.0))
                os.kill(pid, how)
                said = read_lines(pipe)
            wrong, lost, stuck, notes = check_store(where, seed, said, make_board())
            yield _outcome(seed, f"holder {how.name}", said, started, wrong, lost, stuck, before, notes)


def of_database(seeds: Iterable[int]) -> Iterator[Outcome]:
    """SQLite: locked for a while by somebody else, out of room, damaged on the disk."""
    scenarios = {"locked": _locked, "full": _full, "damaged": _damaged}
    with tempfile.TemporaryDirectory(prefix="mico-lab-") as folder:
        for seed in seeds:
            rng = random.Random(seed)
            kind = rng.choice(list(scenarios))
            yield scenarios[kind](Path(folder) / f"{seed}.sqlite", seed, rng)


def _locked(path: Path, seed: int, rng: random.Random) -> Outcome:
    started, before = time.monotonic(), Leftovers.now()
    Store(path).close()
    with measuring(str(path), seed) as (pid, pipe):
        said = read_lines(pipe, lambda lines: len(lines) >= 2)
        blocker = sqlite3.connect(path, isolation_level=None, timeout=10)
        blocker.execute("BEGIN IMMEDIATE")
        time.sleep(rng.uniform(0.05, 0.8))
        blocker.execute("ROLLBACK")
        blocker.close()
        said += read_lines(pipe, lambda lines: len(lines) >= 3)  # it goes on, or says why not
        os.kill(pid, signal.SIGKILL)
        said += read_lines(pipe)
    wrong, lost, stuck, notes = check_store(str(path), seed, said, make_board())
    return _outcome(seed, "database locked", said, started, wrong, lost, stuck, before, notes)


def _full(path: Path, seed: int, rng: random.Random) -> Outcome:
    started, before = time.monotonic(), Leftovers.now()
    Store(path).close()
    limit = path.stat().st_size + rng.randrange(1_000, 30_000)
    with measuring(str(path), seed, file_limit=limit) as (_, pipe):
        said = read_lines(pipe)
    wrong, lost, stuck, notes = check_store(str(path), seed, said, make_board())
    if not said or not said[-1].startswith("StoreError"):
        notes.append(f"no StoreError at {limit} bytes: {said[-1:]}")
    return _outcome(seed, "database full", said, started, wrong, lost, stuck, before, notes)


def _damaged(path: Path, seed: int, rng: random.Random) -> Outcome:
    """What is read of a file with a page of noise or zeros, or without its end, is right, or an error."""
    started, before = time.monotonic(), Leftovers.now()
    count = rng.randrange(3, 12)
    with measuring(str(path), seed) as (_, pipe):
        said = read_lines(pipe, lambda lines: len(lines) >= count)
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    data = bytearray(path.read_bytes())
    page = 4096 * rng.randrange(len(data) // 4096)
    how = rng.choice(["noise", "zeros", "cut"])
    data[page : page + 4096] = rng.randbytes(4096) if how == "noise" else bytes(4096)
    path.write_bytes(data[:page] if how == "cut" else data)
    wrong, error, notes = False, "", []
    store = None
    try:
        store = Store(path)
        rows = {row["program"]: row for row in store.measurements() if row["status"] == "ok"}
        for number in range(count):
            program = make_program(1000 * seed + number, 300)
            if program.digest not in rows:
                notes.append(f"measurement {number} is gone, and nothing says so: {how} at {page}")
            elif rows[program.digest]["cycles"] != cycles_of(program):
                wrong = True
    except StoreError as raised:
        error = f"StoreError: {raised}"
    if store is not None:
        store.close()
    if page == 0 and how == "cut":
        notes.clear()  # an empty file is an empty store
    said = [error] if error else []
    return _outcome(seed, f"database {how}", said, started, wrong, False, False, before, notes)


def of_postgres(seeds: Iterable[int]) -> Iterator[Outcome]:
    """The database server dies while somebody measures, and is started again."""
    from tests.hil.store.postgres import PostgresServer

    server = PostgresServer()
    try:
        server.make()
        server.start()
        for seed in seeds:
            rng = random.Random(seed)
            started, where = time.monotonic(), server.database()
            Store(where).close()
            with measuring(where, seed) as (_, pipe):
                time.sleep(rng.uniform(0.2, 1.0))
                server.stop(signal.SIGQUIT)
                said = read_lines(pipe)
            server.start()
            before = Leftovers.now()
            wrong, lost, stuck, notes = check_store(where, seed, said, make_board())
            if not said or "Error" not in said[-1]:
                notes.append(f"no error: {said[-1:]}")
            yield _outcome(seed, "database server killed", said, started, wrong, lost, stuck, before, notes)
    finally:
        server.close()


def _outcome(
    seed: int,
    kind: str,
    said: list[str],
    started: float,
    wrong: bool,
    lost: bool,
    stuck: bool,
    before: Leftovers,
    notes: list[str],
) -> Outcome:
    error = said[-1] if said and not said[-1][0].isdecimal() else ""
    leftovers = before.grown(3.0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass  # orphans that were adopted
    return Outcome(seed, kind, error, round(time.monotonic() - started, 3), wrong, lost, stuck, leftovers, tuple(notes))


FAMILIES: dict[str, Callable[[Iterable[int]], Iterator[Outcome]]] = {
    "board": of_board,
    "soc": of_soc,
    "container": of_container,
    "holder": of_holder,
    "database": of_database,
    "postgres": of_postgres,
}
