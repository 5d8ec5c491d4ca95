"""A campaign on the target ``dut`` of a bench, as a process of its own: ``sharing_campaign.py FOLDER SEED BUDGET``.

Appends ``SEED start`` and ``SEED end`` to FOLDER/use around every use of the target. Prints a JSON line an evaluation
and the result, as tests/hil/small_campaign.py does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from hil.bench import Leased, Pool  # noqa: E402
from hil.leases import Leases  # noqa: E402
from hil.store import Store  # noqa: E402


def load(name: str) -> Any:
    """A module of tests/hil that is run as a script, too."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "hil" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


small = load("small_campaign")
double = small.double_module()


class Watched(double.DoubleTarget):  # type: ignore[misc, name-defined]
    """Writes down when it is opened and closed."""

    def __init__(self, folder: Path, tag: str, delay_s: float = 0.0) -> None:
        super().__init__(folder / "log", delay_s)
        self.use, self.tag, self.is_open = folder / "use", tag, False

    def note(self, what: str) -> None:
        descriptor = os.open(self.use, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{self.tag} {what}\n".encode())
        os.close(descriptor)

    def open(self) -> None:
        super().open()
        self.is_open = True
        self.note("start")

    def close(self) -> None:
        super().close()
        if self.is_open:
            self.note("end")
        self.is_open = False


def pool(folder: Path, tag: str, names: tuple[str, ...] = ("dut",), delay_s: float = 0.0) -> Pool:
    """Targets *names* under leases of the store in *folder*."""
    leases = Leases(Store(folder / "store.sqlite"))
    members = [Leased(name, Watched(folder, tag, delay_s), leases, f"campaign {tag}") for name in names]
    return Pool(members, wait_s=60, linger_s=0.1)


def main() -> None:
    folder, seed, budget = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    result = small.campaign(
        folder, pool(folder, str(seed), delay_s=0.1), double.build, budget, small.Printing(), seed=seed,
        searcher="random", finalists=1, weight_bits=(8, 4), activation_bits=(8, 4), fraction=0.9,
    )  # fmt: skip
    print(json.dumps({"result": result.to_json()}), flush=True)


if __name__ == "__main__":
    main()
