"""In the build stage: builds the simulation by running one job on it, and writes down what it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hil.harness.bf_server import facts
from hil.harness.bf_sim import Build, Job, run_jobs
from mico.codegen.bitfusion.machine import Machine


def main(parameters: str, out: Path) -> None:
    machine = Machine(**json.loads(parameters))
    # A window of zeros holds no program: any end of it shows that the simulation runs.
    run_jobs(machine, [Job(image=bytes(4096), program=0, instructions=1, cycle_limit=10_000)], build=Build.FUNCTIONAL)
    out.write_text(json.dumps(facts(machine, Build.FUNCTIONAL), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
