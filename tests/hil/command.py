"""The command, run in this process: importing torch anew for every message takes seconds."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator

import pytest

from hil.cli import main

__all__ = ["Mico", "mico"]


class Mico:
    """Runs the command: exit code, and what it printed in ``stdout`` and ``stderr``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.stdout = self.stderr = ""

    def __call__(self, *arguments: object, stdin: str = "") -> int:
        self.monkeypatch.setattr(sys, "argv", ["mico", *map(str, arguments)])
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        self.stdout, self.stderr = self.capsys.readouterr()
        return int(ended.value.code or 0)


@pytest.fixture
def mico(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Mico]:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MICO_LAB", raising=False)
    yield Mico(monkeypatch, capsys)
    signal.signal(signal.SIGTERM, before)
