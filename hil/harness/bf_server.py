"""The BitFusion simulation as a server: jobs in, reports out; ``python -m hil.harness.bf_server --listen HOST:PORT``.

A connection is one request: a line of JSON and the bytes that it announces, answered by the same.

=============  ==========================================================  ===============================
request        members                                                     answer
=============  ==========================================================  ===============================
``ready``      none                                                        ``ready``: what is simulated
``jobs``       jobs: fields of Job, ``image_bytes`` instead of ``image``;  ``reports``: fields of Report,
               the images follow                                           ``data_bytes``; the data follow
``hold``       none                                                        ``hold``; the connection stays open
=============  ==========================================================  ===============================

What fails is answered by ``error`` with the error's kind, what, where and cure. Jobs are run one request at a time.
With ``--linger SECONDS`` the server ends when nobody has held it for so long.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from io import BufferedIOBase
from typing import Any

from hil.harness.bf_sim import Build, Job, Mark, Memory, Report, describe, run_jobs
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import Code
from mico.errors import MicoError, ProtocolError, UsageError

__all__ = ["MAX_BYTES", "exchange", "facts", "serve"]

MAX_BYTES = 256 << 20
"""Of all images of a request."""
_MAX_LINE = 16 << 20
_TIMEOUT_S = 60.0

Run = Callable[[Sequence[Job]], list[Report]]


def facts(machine: Machine, build: Build) -> dict[str, Any]:
    """What a simulation says of itself: sizes, build, hash of the hardware."""
    return {
        "hardware_hash": describe(machine, build),
        "machine": asdict(machine),
        "build": build.name.lower(),
    }


def exchange(address: tuple[str, int], jobs: Sequence[Job] | None, timeout_s: float) -> dict[str, Any] | list[Report]:
    """Ask the server at *address*: for its facts (*jobs* None), or for the reports of *jobs*.

    Raises
    ------
    OSError
        It cannot be reached, or the connection breaks.
    ProtocolError
        It answers something else.
    MicoError
        What the server has answered as an error: of the kind that it names.
    """
    if jobs is None:
        header: dict[str, Any] = {"request": "ready"}
        blobs: list[bytes] = []
    else:
        header = {"request": "jobs", "jobs": [_job_to_json(job) for job in jobs]}
        blobs = [job.image for job in jobs]
    with socket.create_connection(address, timeout_s) as connection, connection.makefile("rwb") as stream:
        _send(stream, header, blobs)
        answer = _receive_line(stream)
        event = answer.get("event")
        if event == "error":
            raise _error_of(answer)
        if event == "ready" and jobs is None:
            return answer
        if event != "reports" or jobs is None or len(answer.get("reports", ())) != len(jobs):
            raise ProtocolError(f"an answer that is none: {str(answer)[:200]}", where=f"{address[0]}:{address[1]}")
        return [_report_of(item, stream) for item in answer["reports"]]


class _Holders:
    """Who holds the server, and since when nobody does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._since = time.monotonic()

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            self._since = time.monotonic()

    def alone_s(self) -> float:
        """Seconds without a holder; 0 while there is one."""
        with self._lock:
            return 0.0 if self._count else time.monotonic() - self._since


def serve(
    listen: tuple[str, int], told: dict[str, Any], run: Run, *, linger_s: float = 0.0
) -> socketserver.ThreadingTCPServer:
    """A server that is bound; ``serve_forever()`` is the caller's, and returns when it was not held for *linger_s*."""
    lock, holders = threading.Lock(), _Holders()

    class Handler(socketserver.StreamRequestHandler):
        timeout = _TIMEOUT_S

        def handle(self) -> None:
            stream = self.connection.makefile("rwb")
            try:
                request = _receive_line(stream)
                if request.get("request") == "ready":
                    _send(stream, {"event": "ready", **told}, [])
                    return
                if request.get("request") == "hold":
                    with holders:
                        _send(stream, {"event": "hold"}, [])
                        self.connection.settimeout(None)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                        while self.connection.recv(64):
                            pass
                    return
                if request.get("request") != "jobs":
                    raise ProtocolError("no such request", where=str(request)[:200], cure="ready, jobs or hold")
                jobs = _jobs_of(request, stream)
                with lock:
                    reports = run(jobs)
                _send(
                    stream,
                    {"event": "reports", "reports": [_report_to_json(report) for report in reports]},
                    [report.data for report in reports],
                )
            except MicoError as error:
                _send(
                    stream,
                    {
                        "event": "error",
                        "kind": type(error).__name__,
                        "what": error.what,
                        "where": error.where,
                        "cure": error.cure,
                    },
                    [],
                )
            except OSError as error:
                print(f"{self.client_address}: {error}", file=sys.stderr, flush=True)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def service_actions(self) -> None:
            if linger_s and holders.alone_s() > linger_s:
                print(json.dumps({"event": "abandoned", "seconds": linger_s}), flush=True)
                threading.Thread(target=self.shutdown, daemon=True).start()

    return Server(listen, Handler)


# ---- lines and bytes


def _send(stream: BufferedIOBase, header: dict[str, Any], blobs: Sequence[bytes]) -> None:
    stream.write(json.dumps(header).encode() + b"\n")
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def _receive_line(stream: BufferedIOBase) -> dict[str, Any]:
    line = stream.readline(_MAX_LINE)
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ProtocolError(f"not a line of JSON: {line[:200]!r}", cure="is this the port of a BitFusion simulation?")
    return header


def _receive(stream: BufferedIOBase, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ProtocolError(f"{len(data)} bytes where {size} were announced", cure="the connection broke")
    return data


def _job_to_json(job: Job) -> dict[str, Any]:
    fields = asdict(job)
    fields["image_bytes"] = len(fields.pop("image"))
    return fields


def _jobs_of(request: dict[str, Any], stream: BufferedIOBase) -> list[Job]:
    jobs, left = [], MAX_BYTES
    try:
        for item in request["jobs"]:
            size = int(item.pop("image_bytes"))
            left -= size
            if size < 0 or left < 0:
                raise ProtocolError(f"images of more than {MAX_BYTES} bytes", cure="fewer jobs in a request")
            memory = Memory(**item.pop("memory"))
            item["dump"] = tuple(item["dump"])
            jobs.append(Job(image=_receive(stream, size), memory=memory, **item))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"not a job: {error!r}", cure="a client of another version") from error
    return jobs


def _report_to_json(report: Report) -> dict[str, Any]:
    fields = asdict(report)
    fields["data_bytes"] = len(fields.pop("data"))
    fields["error"] = None if report.error is None else int(report.error)
    return fields


def _report_of(item: dict[str, Any], stream: BufferedIOBase) -> Report:
    try:
        size = int(item.pop("data_bytes"))
        item["error"] = None if item["error"] is None else Code(item["error"])
        item["marks"] = tuple(Mark(**mark) for mark in item["marks"])
        item["exec_blocked"], item["load_blocked"] = tuple(item["exec_blocked"]), tuple(item["load_blocked"])
        return Report(data=_receive(stream, size), **item)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"not a report: {error!r}", cure="a server of another version") from error


def _error_of(answer: dict[str, Any]) -> MicoError:
    import mico.errors

    kind = getattr(mico.errors, str(answer.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, MicoError)):
        kind = ProtocolError
    return kind(str(answer.get("what")), where=str(answer.get("where", "")), cure=str(answer.get("cure", "")))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hil.harness.bf_server", description=__doc__.splitlines()[0])
    parser.add_argument("--listen", metavar="HOST:PORT", help="where jobs are taken")
    parser.add_argument("--probe", metavar="HOST:PORT", help="only ask whether a server answers there")
    parser.add_argument(
        "--linger", type=float, default=0.0, metavar="SECONDS", help="end when nobody holds it for so long"
    )
    parser.add_argument("--machine", default=os.environ.get("MICO_MACHINE", "{}"), help="sizes, as JSON")
    options = parser.parse_args(arguments)
    try:
        host, _, port = (options.probe or options.listen or "").rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError("no address", where="--listen", cure="HOST:PORT, for instance 127.0.0.1:5002")
        if options.probe:
            print(json.dumps(exchange((host, int(port)), None, 5.0)))
            return 0
        machine, build = Machine(**json.loads(options.machine)), Build.FUNCTIONAL
        told = facts(machine, build)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        run = functools.partial(run_jobs, machine, build=build)
        with serve((host, int(port)), told, run, linger_s=options.linger) as server:
            print(json.dumps({"event": "ready", "address": "{}:{}".format(*server.server_address), **told}), flush=True)
            server.serve_forever()
        os._exit(0)  # a simulation may still run for somebody who is gone
    except (MicoError, OSError) as error:
        print(f"bf_server: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, MicoError) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
