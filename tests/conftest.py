"""What holds for all tests."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background; children would ignore it as well
    signal.signal(signal.SIGINT, signal.default_int_handler)
