"""Commands of a site that lab.toml names (reset, power, programmer): run with a time-out, ended with their children."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from mico.errors import DeviceError, MicoError

__all__ = ["run_command"]


def run_command(
    words: Sequence[str],
    timeout_s: float,
    *,
    what: str,
    where: str,
    values: Mapping[str, str] | None = None,
    error: type[MicoError] = DeviceError,
) -> None:
    """Run *words*, with ``{name}`` replaced by ``values[name]``, and wait for its end.

    Parameters
    ----------
    what
        What the command is for, in messages: "the reset command".
    where
        Name of the target.
    error
        What is raised.

    Raises
    ------
    MicoError
        As *error*: it is not there, ends with another code than 0, or does not end; with what it printed last.
    """
    command = list(words)
    for name, value in (values or {}).items():
        command = [word.replace(f"{{{name}}}", value) for word in command]
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as problem:
            raise error(
                f"{what} does not start: {problem}", where=where, cure="install it, or correct lab.toml"
            ) from problem
        try:
            code = process.wait(timeout_s)
            how = f"ended with {code}" if code >= 0 else f"was killed by signal {-code}"
        except subprocess.TimeoutExpired:
            code, how = None, f"did not end within {timeout_s:g} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code != 0:
            output.seek(0)
            printed = output.read()[-600:].decode(errors="replace").strip()
            raise error(
                f"{what} {how}" + (f" and printed: {printed}" if printed else ""), where=where, cure=" ".join(command)
            )
