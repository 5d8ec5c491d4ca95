"""lab.toml: which targets there are. Strict: what is not understood is an error with file, line, key and a cure.

[targets.soc]
kind = "soc-sim"
count = 4

[targets.ecp5]
kind = "serial"
serial = "FT4X1Q2B"
reset = ["openFPGALoader", "--reset"]
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.lab_schema import KEYS, NAME, ValueProblem, nearest, require
from hil.targets.base import Target
from hil.targets.kinds import make_from
from hil.toml_lines import line_of, parse
from mico.errors import UsageError

__all__ = ["Entry", "Lab", "load_lab"]

VARIABLE = "MICO_LAB"
_SHORT = {"soc-sim": "soc", "bitfusion-sim": "bitfusion"}
"""Kinds that are also names in the default lab."""


@dataclass(frozen=True)
class Entry:
    """One target.

    Attributes
    ----------
    name
        In the lab; copies are NAME-0, NAME-1, ...
    group
        The name in the file, which all copies share.
    kind
        One of ``hil.lab_schema.KEYS``.
    options
        Values of the kind's keys, checked; ``count`` is not among them.
    where
        File and line, for messages.
    """

    name: str
    group: str
    kind: str
    options: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Lab:
    """The targets of a lab, by name.

    Attributes
    ----------
    source
        Path of the file; empty for the default lab.
    entries
        In the order of the file.
    """

    source: str
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Of all targets, in the order of the file."""
        return list(self.entries)

    def entry(self, name: str) -> Entry:
        """The target *name*; UsageError where there is none, or where *name* stands for several."""
        found = self.select(name)
        if len(found) != 1:
            raise UsageError(
                f"{name!r} stands for {len(found)} targets",
                where=self.source or "the default lab",
                cure=", ".join(found),
            )
        return self.entries[found[0]]

    def target(self, name: str) -> Target:
        """The target *name*, not yet open. Who opens it should hold its lease (``hil.leases``)."""
        entry = self.entry(name)
        try:
            return make_from(entry.kind, entry.name, entry.options)
        except UsageError as error:
            raise UsageError(error.what, where=f"{entry.where}: {error.where}", cure=error.cure) from error

    def select(self, text: str) -> list[str]:
        """Names that *text* stands for: names or groups of copies, by commas.

        Raises
        ------
        UsageError
            No such target, or one that is named twice.
        """
        chosen: list[str] = []
        for word in (part.strip() for part in text.split(",")):
            if not self.source:
                word = _SHORT.get(word, word)
            found = [name for name, entry in self.entries.items() if word in (name, entry.group)]
            if not found:
                groups = dict.fromkeys(entry.group for entry in self.entries.values())
                raise UsageError(
                    f"no target {word!r}",
                    where=self.source or "the default lab",
                    cure=nearest(word, list(dict.fromkeys([*groups, *self.entries]))),
                )
            chosen += found
        for name in chosen:
            if chosen.count(name) > 1:
                raise UsageError(f"target {name!r} is named twice", where=text, cure="name it once")
        return chosen


def load_lab(path: str | os.PathLike[str] | None = None) -> Lab:
    """The lab of *path*, else of the variable MICO_LAB, else of ``./lab.toml``, else the default one.

    The default lab has the simulated SoC as ``soc`` and the simulated accelerator as ``bitfusion``.

    Raises
    ------
    UsageError
        The file is not there, is no TOML, or says something that is not understood: with file, line and key.
    """
    if path is None:
        path = os.environ.get(VARIABLE) or None
        if path is None and Path("lab.toml").is_file():
            path = "lab.toml"
        if path is None:
            return Lab("", {name: Entry(name, name, kind, {}, "the default lab") for kind, name in _SHORT.items()})
    source = os.fspath(path)
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the lab cannot be read: {error}", where=source, cure=f"give --lab, or unset {VARIABLE}"
        ) from error
    return _Reader(source, text).read()


class _Reader:
    def __init__(self, source: str, text: str) -> None:
        self.source, self.text = source, text
        self.folder = Path(source).resolve().parent

    def read(self) -> Lab:
        data = parse(self.text, self.source)
        for name in data:
            if name != "targets":
                raise self.wrong([name], "is no key of a lab", nearest(name, ["targets"]))
        tables = data.get("targets", {})
        if not isinstance(tables, dict) or not tables:
            raise self.wrong(["targets"], "names no target", '[targets.soc] with kind = "soc-sim"')
        entries: dict[str, Entry] = {}
        for group, table in tables.items():
            for entry in self.entries(group, table):
                if entry.name in entries:
                    other = entries[entry.name].where
                    raise self.wrong(["targets", group], f"makes a second target {entry.name!r}, see {other}", "rename")
                entries[entry.name] = entry
        return Lab(self.source, entries)

    def entries(self, group: str, table: Any) -> list[Entry]:
        path = ["targets", group]
        if not NAME.fullmatch(group):
            raise self.wrong(path, "is no name of a target", "letters, digits, - and _, a letter first, up to 40")
        if not isinstance(table, dict):
            raise self.wrong(path, "is not a table", f"[targets.{group}]")
        kind = table.get("kind")
        if kind is None:
            raise self.wrong(path, "has no kind", f"kind = one of {', '.join(KEYS)}")
        if not isinstance(kind, str) or kind not in KEYS:
            raise self.wrong([*path, "kind"], f"{kind!r} is no kind of target", nearest(str(kind), KEYS))
        options: dict[str, Any] = {}
        for name, value in table.items():
            if name == "kind":
                continue
            key = KEYS[kind].get(name)
            if key is None:
                raise self.wrong([*path, name], f"is no key of kind {kind}", nearest(name, KEYS[kind]))
            try:
                options[name] = key.check(value, self.folder)
            except ValueProblem as problem:
                raise self.wrong([*path, name], problem.what, problem.cure) from problem
        try:
            require(kind, options)
        except ValueProblem as problem:
            raise self.wrong(path, problem.what, problem.cure) from problem
        where = f"{self.source}:{line_of(self.text, path)}"
        count = options.pop("count", None)
        names = [group] if count is None else [f"{group}-{number}" for number in range(count)]
        return [Entry(name, group, kind, options, where) for name in names]

    def wrong(self, path: list[str], what: str, cure: str) -> UsageError:
        line = line_of(self.text, path)
        return UsageError(f"{'.'.join(path)}: {what}", where=f"{self.source}:{line}", cure=cure)
