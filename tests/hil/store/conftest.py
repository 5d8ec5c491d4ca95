"""Every test with ``where`` or ``store`` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.store import Store
from tests.hil.double_target import DoubleTarget
from tests.hil.store.postgres import PostgresServer, programs


def _running() -> Iterator[PostgresServer]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    server = PostgresServer()
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    yield from _running()


@pytest.fixture
def fragile() -> Iterator[PostgresServer]:
    """A server that the test may end."""
    yield from _running()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Path or URL of an empty database."""
    if request.param == "sqlite":
        yield str(tmp_path / "store.sqlite")
        return
    server: PostgresServer = request.getfixturevalue("server")
    url = server.database()
    yield url
    server.drop(url)


@pytest.fixture
def store(where: str) -> Store:
    return Store(where)


@pytest.fixture
def target(tmp_path: Path) -> DoubleTarget:
    return DoubleTarget(tmp_path / "log")
