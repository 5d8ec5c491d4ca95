"""TOML with line numbers: where a key stands, for messages. ``tomllib`` does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from mico.errors import UsageError

__all__ = ["line_of", "parse"]


def parse(text: str, where: str) -> dict[str, Any]:
    """The content of *text*; UsageError with file and line for what is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = str(error)
        found = re.search(r"\(at line (\d+), column \d+\)", what)
        line = int(found.group(1)) if found else text.count("\n") + 1
        raise UsageError(
            f"no TOML: {what.partition(' (at ')[0]}", where=f"{where}:{line}", cure="as in https://toml.io"
        ) from error


def line_of(text: str, path: Sequence[str]) -> int:
    """Line of *text*, from 1, that makes the key *path*; 1 where there is none.

    Whatever way it is written (header, dotted key, inline table): it stands in the first statement with which the
    beginning of the text has it.
    """
    lines = text.splitlines()
    start = 1
    for end in range(1, len(lines) + 1):
        try:
            data: Any = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # within a statement of several lines
        for name in path:
            data = data.get(name) if isinstance(data, dict) else None
        if data is not None:
            return start
        start = end + 1
    return 1
