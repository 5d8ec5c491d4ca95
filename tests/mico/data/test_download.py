"""Downloads from a real HTTP server on this machine: whole, interrupted, resumed, damaged, with and without Range."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.cli_data import app
from mico.data import mnist
from mico.data.download import DownloadError, fetch, fetch_mnist
from mico.errors import MeasurementError, UsageError

CONTENT = np.random.default_rng(3).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
PACKED = gzip.compress(CONTENT, mtime=0)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A server whose behaviour a test sets: honours ranges or not, breaks off after so many bytes, logs requests."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.ranges = True
        self.break_after: int | None = None
        self.asked: list[tuple[str, str | None]] = []
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._httpd.server_address[1]}/"
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, owner: Server, *args: object) -> None:
        self.owner = owner
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.owner.asked.append((self.path, wanted))
        data = self.owner.files.get(self.path.lstrip("/"))
        if data is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.owner.ranges else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data) if self.owner.break_after is None else start + self.owner.break_after
        self.wfile.write(data[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server({"x.gz": PACKED})
    yield server
    server.close()


def test_whole_file_arrives_with_progress_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = tmp_path / "new" / "x.gz"
    assert fetch(server.url + "x.gz", path, SHA256, progress=lambda *at: seen.append(at))
    assert path.read_bytes() == PACKED
    assert seen[-1] == ("x.gz", len(PACKED), len(PACKED))
    assert len(seen) > 2
    assert not fetch(server.url + "x.gz", path, SHA256)
    assert len(server.asked) == 1


def test_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    server.break_after = 100_000
    with pytest.raises(DownloadError, match="run it again"):
        fetch(server.url + "x.gz", path, SHA256)
    assert not path.exists()
    assert (tmp_path / "x.gz.part").stat().st_size == 100_000
    server.break_after = None
    seen: list[tuple[str, int, int | None]] = []
    assert fetch(server.url + "x.gz", path, SHA256, progress=lambda *at: seen.append(at))
    assert server.asked[-1] == ("/x.gz", "bytes=100000-")
    assert seen[0][1] > 100_000
    assert seen[-1] == ("x.gz", len(PACKED), len(PACKED))
    assert path.read_bytes() == PACKED
    assert list(tmp_path.iterdir()) == [path]


def test_server_that_ignores_ranges_sends_everything_again(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    (tmp_path / "x.gz.part").write_bytes(PACKED[:5000])
    server.ranges = False
    assert fetch(server.url + "x.gz", path, SHA256)
    assert server.asked == [("/x.gz", "bytes=5000-")]
    assert path.read_bytes() == PACKED


def test_part_that_is_complete_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.gz.part").write_bytes(PACKED)
    assert fetch(server.url + "x.gz", tmp_path / "x.gz", SHA256)
    assert (tmp_path / "x.gz").read_bytes() == PACKED


@pytest.mark.parametrize("wrong", [gzip.compress(CONTENT[:-1] + b"?"), b"<html>not found</html>", PACKED[:-4]])
def test_wrong_content_is_refused_and_not_kept(server: Server, tmp_path: Path, wrong: bytes) -> None:
    server.files["x.gz"] = wrong
    with pytest.raises(MeasurementError, match="wrong content"):
        fetch(server.url + "x.gz", tmp_path / "x.gz", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_damaged_part_is_dropped_and_the_next_attempt_succeeds(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.gz.part").write_bytes(b"?" * 5000)
    with pytest.raises(MeasurementError):
        fetch(server.url + "x.gz", tmp_path / "x.gz", SHA256)
    assert fetch(server.url + "x.gz", tmp_path / "x.gz", SHA256)


def test_another_compression_of_the_same_content_is_accepted(server: Server, tmp_path: Path) -> None:
    server.files["x.gz"] = gzip.compress(CONTENT, compresslevel=1)
    assert fetch(server.url + "x.gz", tmp_path / "x.gz", SHA256)


def test_missing_file_closed_port_and_bad_address_are_errors_that_name_it(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch(server.url + "y.gz", tmp_path / "y.gz", SHA256)
    server.close()
    with pytest.raises(DownloadError, match=r"x\.gz"):
        fetch(server.url + "x.gz", tmp_path / "x.gz", SHA256)
    with pytest.raises(UsageError, match="not an address"):
        fetch("nonsense", tmp_path / "x.gz", SHA256)


def test_interrupted_mnist_keeps_the_files_that_are_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files stand in for the 11 MB on the server; names and order are the product's own."""
    files = {
        key: mnist.IdxFile(file.name, hashlib.sha256(key.encode()).hexdigest(), file.shape)
        for key, file in mnist.FILES.items()
    }
    monkeypatch.setattr(mnist, "FILES", files)
    packed = {f"{file.name}.gz": gzip.compress(key.encode()) for key, file in files.items()}
    last = list(packed)[-1]
    server = Server({name: data for name, data in packed.items() if name != last})
    try:
        with pytest.raises(DownloadError, match=last):
            fetch_mnist(tmp_path, url=server.url)
        server.files[last] = packed[last]
        assert [path.name for path in fetch_mnist(tmp_path, url=server.url)] == list(packed)
    finally:
        server.close()
    assert [path for path, _ in server.asked].count("/" + last) == 2
    assert len(server.asked) == len(packed) + 1


@pytest.mark.skipif(mnist.find() is None, reason="no MNIST on disk to serve: set MICO_DATA")
def test_command_downloads_real_mnist_from_a_server_and_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = mnist.find()
    assert found is not None
    served = {}
    for path in found.values():
        raw = path.read_bytes()
        served[path.name.removesuffix(".gz") + ".gz"] = raw if path.suffix == ".gz" else gzip.compress(raw, 1)
    server = Server(served)
    monkeypatch.setenv("MICO_DATA", str(tmp_path))
    try:
        result = CliRunner().invoke(app, ["get", "mnist", "--url", server.url])
    finally:
        server.close()
    assert result.exit_code == 0, result.output
    again = mnist.find()
    assert again is not None
    assert again["train_images"].parent == tmp_path / "mnist"
    listing = CliRunner().invoke(app, ["list"])
    assert listing.exit_code == 0
    assert "55000" in listing.output
    assert "1197" in listing.output


def test_command_refuses_what_cannot_be_downloaded() -> None:
    result = CliRunner().invoke(app, ["get", "digits"])
    assert isinstance(result.exception, UsageError)
