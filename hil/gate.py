"""The regression gate behind `mico check`: limits on a result, told as JUnit XML, JSON and Markdown.

A limit that is exceeded is a failure; a number that is missing, because its measurement failed, is an error: a bad
value and a bad rig are kept apart.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mico.errors import UsageError

__all__ = ["Case", "Verdict", "exit_code", "judge", "read_cases", "write_reports"]

_EXIT_OF = {"device": 3, "build": 3, "flash": 4, "protocol": 5, "timeout": 5}


@dataclass(frozen=True)
class Case:
    """One measured network: its cycles and accuracy (0..1), or the status and error of what failed."""

    name: str
    status: str
    error: str | None
    cycles: int | None
    accuracy: float | None


@dataclass(frozen=True)
class Verdict:
    """One limit on one case; *outcome* is ``pass``, ``fail`` or ``error``."""

    case: str
    check: str
    outcome: str
    message: str
    value: float | None
    limit: float | None
    exit_code: int


def read_cases(path: Path) -> list[Case]:
    """Cases of the result of `mico measure`, or of the winner of a campaign's result.json.

    Raises
    ------
    UsageError
        No such file, or something else than a result.
    """
    cure = "result.json of `mico measure`, `mico search` or `mico demo`"
    try:
        data = json.loads(path.read_text())
        rows = data.get("measurements")
        cases = [_winner(data)] if rows is None else [_measured(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"not a result: {error!r}", where=str(path), cure=cure) from error
    if not cases:
        raise UsageError("a result without a measurement", where=str(path), cure=cure)
    return cases


def _measured(row: dict[str, Any]) -> Case:
    ok = row["status"] == "ok"
    accuracy = row.get("accuracy")
    return Case(
        str(row["name"]),
        str(row["status"]),
        None if ok else str(row["error"]),
        int(row["cycles"]) if ok else None,
        None if accuracy is None else float(accuracy),
    )


def _winner(data: dict[str, Any]) -> Case:
    best, wrong = data["best"], int(data["verify"]["mismatches"])
    what = f"{wrong} of {data['verify']['inputs']} inputs give other logits on the target than in Python"
    status, error = ("wrong", what) if wrong else ("ok", None)
    return Case(
        f"{data['model']} best", status, error, None if wrong else int(best["cycles"]), float(best["accuracy_test"])
    )


def judge(
    cases: Sequence[Case],
    *,
    max_cycles: int | None = None,
    min_accuracy: float | None = None,
    baseline: Sequence[Case] = (),
    max_increase: float = 0.0,
) -> list[Verdict]:
    """A verdict for every case: on its measurement, and on each limit that is given.

    Parameters
    ----------
    baseline
        Cases of an earlier result: those of the same name limit cycles to ``1 + max_increase`` times theirs.
    """
    before = {case.name: case for case in baseline}
    verdicts = []
    for case in cases:
        if case.status != "ok" or case.cycles is None:
            code = _EXIT_OF.get(case.status, 1)
            outcome = "fail" if case.status == "wrong" else "error"
            message = f"{case.status}: {case.error}"
            verdicts.append(Verdict(case.name, "measurement", outcome, message, None, None, code))
            continue
        message = f"measured {case.cycles} cycles"
        verdicts.append(Verdict(case.name, "measurement", "pass", message, case.cycles, None, 0))
        if max_cycles is not None:
            verdicts.append(_limited(case, "cycles", case.cycles, max_cycles, case.cycles <= max_cycles))
        if min_accuracy is not None:
            verdicts.append(_accurate(case, min_accuracy))
        if baseline:
            verdicts.append(_compared(case, before.get(case.name), max_increase))
    return verdicts


def _limited(case: Case, check: str, value: float, limit: float, good: bool) -> Verdict:
    sign = ">=" if check == "accuracy" else "<="
    message = f"{check} {value:g} {'is' if good else 'is not'} {sign} {limit:g}"
    if check != "accuracy":
        message = f"{value:,.0f} cycles, {'at most' if good else 'more than'} {limit:,.0f} ({value / limit - 1:+.2%})"
    return Verdict(case.name, check, "pass" if good else "fail", message, value, limit, 0 if good else 1)


def _accurate(case: Case, least: float) -> Verdict:
    if case.accuracy is None:
        return Verdict(case.name, "accuracy", "error", "the result has no accuracy", None, least, 1)
    return _limited(case, "accuracy", case.accuracy, least, case.accuracy >= least)


def _compared(case: Case, before: Case | None, max_increase: float) -> Verdict:
    check = "cycles against the baseline"
    if before is None or before.cycles is None:
        return Verdict(case.name, check, "error", "the baseline has no cycles of it", None, None, 1)
    assert case.cycles is not None
    limit = before.cycles * (1 + max_increase)
    return _limited(case, check, case.cycles, limit, case.cycles <= limit)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """0 if all passed; 1 if a limit was exceeded or an output was wrong; else the code of what went wrong."""
    codes = [verdict.exit_code for verdict in verdicts if verdict.exit_code]
    return 1 if 1 in codes else max(codes, default=0)


def write_reports(
    verdicts: Sequence[Verdict], *, title: str, junit: Path | None, as_json: Path | None, markdown: Path | None
) -> None:
    """Write each report whose path is given; UsageError where one cannot be written."""
    told = {"title": title, "exit_code": exit_code(verdicts), "verdicts": [asdict(verdict) for verdict in verdicts]}
    for path, text in (
        (junit, _junit(verdicts, title)),
        (as_json, json.dumps(told, indent=2)),
        (markdown, _markdown(verdicts, title)),
    ):
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise UsageError(f"cannot be written: {error}", where=str(path)) from error


def _junit(verdicts: Sequence[Verdict], title: str) -> str:
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(sum(v.outcome == "fail" for v in verdicts)),
        "errors": str(sum(v.outcome == "error" for v in verdicts)),
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": title, **counts})
    for verdict in verdicts:
        case = ET.SubElement(suite, "testcase", {"classname": verdict.case, "name": verdict.check})
        if verdict.outcome == "pass":
            ET.SubElement(case, "system-out").text = _printable(verdict.message)
        else:
            kind = "failure" if verdict.outcome == "fail" else "error"
            ET.SubElement(case, kind, {"message": _printable(verdict.message)})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """Without what XML has no form for, such as bytes from a bad line."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def _markdown(verdicts: Sequence[Verdict], title: str) -> str:
    bad = sum(verdict.outcome != "pass" for verdict in verdicts)
    head = f"### {title}: " + ("passed" if not bad else f"{bad} of {len(verdicts)} checks did not pass")
    lines = [head, "", "| network | check | outcome | |", "|---|---|---|---|"]
    for v in verdicts:
        cells = (v.case, v.check, v.outcome if v.outcome == "pass" else f"**{v.outcome}**", v.message)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)
