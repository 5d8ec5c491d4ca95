"""A PostgreSQL server of a test's own: in a temporary folder, as a user without rights, on a Unix socket alone."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

_PR_SET_PDEATHSIG = 1
_USERS = ("postgres", "nobody")


def programs() -> Path | None:
    """Folder of initdb and postgres, None where there is none: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    folders = [str(Path(found).parent)] if found else []
    folders += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return next((Path(folder) for folder in folders if Path(folder, "postgres").exists()), None)


class PostgresServer:
    """Started by :meth:`start`, and gone when its parent is.

    Parameters
    ----------
    folder
        Where the cluster is made, by default a new folder; removed at the end where it is a new one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        found = programs()
        assert found is not None
        self._bin = found
        # not pytest's: the path of a Unix socket has at most 107 bytes
        self._own = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="mico-pg-", dir=_roomy())) if folder is None else folder
        self._user: str | None = None
        if os.geteuid() == 0:  # postgres refuses to run as root
            known = {entry.pw_name for entry in pwd.getpwall()}
            self._user = next(user for user in _USERS if user in known)
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def make(self) -> None:
        """initdb."""
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=mico", "--no-sync", "--wal-segsize=1"]
        done = subprocess.run(
            [self._bin / "initdb", "-D", self.folder / "data", *options],
            capture_output=True,
            text=True,
            check=False,
            **self._identity(),
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Returns when it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "4MB",
            "max_connections": "30",
            "max_wal_size": "4MB",
            "min_wal_size": "2MB",
        }
        flags = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        death = ctypes.CDLL(None, use_errno=True).prctl
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *flags],
                stdout=log,
                stderr=log,
                preexec_fn=lambda: death(_PR_SET_PDEATHSIG, signal.SIGQUIT),
                **self._identity(),
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._conninfo("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and the server, SIGQUIT ends it as a crash would; no harm where it does not run."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """Stop it and remove what it wrote."""
        self.stop(signal.SIGQUIT)
        if self._own:
            shutil.rmtree(self.folder)

    def database(self) -> str:
        """URL of a new, empty database."""
        self._databases += 1
        name = f"lab{self._databases}"
        with contextlib.closing(psycopg.connect(self._conninfo("postgres"), autocommit=True)) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://mico@/{name}?host={self.folder}"

    def drop(self, url: str) -> None:
        """Remove the database at *url*, whoever is connected to it."""
        with contextlib.closing(psycopg.connect(self._conninfo("postgres"), autocommit=True)) as connection:
            connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)".encode())

    def connect(self, url: str) -> psycopg.Connection[Any]:
        """A connection of another program to the database at *url*; commits at once."""
        return psycopg.connect(self._conninfo(str(make_url(url).database)), autocommit=True)

    def _conninfo(self, name: str) -> str:
        return f"host={self.folder} user=mico dbname={name}"

    def _identity(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "cwd": "/"}


def _roomy() -> str:
    """A folder in memory where there is room: making a database syncs some hundred files."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 2**30 else "/tmp"
