"""A bench that opens a container and waits to be killed: ``python -m tests.hil.containers.holder``; prints its id."""

from __future__ import annotations

import time

from hil.targets.container import ContainerTarget

if __name__ == "__main__":
    target = ContainerTarget(name="held")
    target.open()
    print(target.container_id, flush=True)
    time.sleep(600)
