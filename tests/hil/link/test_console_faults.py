"""The console over a line that damages bytes: an error, or the right number."""

from __future__ import annotations

import random

from hil.link.console import Console
from mico.errors import ProtocolError
from tests.firmware.host_build import host_console
from tests.hil.link.faulty_line import Faults, FaultyLine


def test_what_is_answered_without_an_error_is_right():
    """Seed 3: thirty inputs, each loaded, run and read back; a command in three or so is damaged on its way."""
    rng = random.Random(3)
    right = failed = 0
    with FaultyLine([host_console()], Faults(), 3) as line, line.open() as port:
        console = Console(port, timeout_s=1.0)
        console.wait_boot(timeout_s=60.0)
        line.faults = Faults(flip=4e-4, drop=4e-4, double=4e-4)
        for _ in range(30):
            data = rng.randbytes(40)
            try:
                console.load(data)
                console.infer(2, 1)
                logits, layers, laps = console.logits(), console.layers(), console.laps()
            except ProtocolError:
                failed += 1
                continue
            right += 1
            assert logits == (sum(data), -sum(v * v for v in data), data[0] - data[-1])
            assert sum(cycles for _, cycles in layers.layers) + layers.glue == layers.total == laps[1]
        line.faults = Faults()
        console.sync()
        assert console.name() == "MICO"
    assert right >= 5
    assert failed >= 3
