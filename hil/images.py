"""Container images of docker/: contexts from a list of sources, tags from a hash of what went in, labels that say what
is simulated.

An image is named ``mico-NAME:HASH``, with the first 12 hex digits of :func:`content_hash`; the one built last also
``mico-NAME:latest``. A description that the build leaves in ``/description.json`` becomes the label
``mico.description``: the provenance of what is measured on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import docker
from docker.errors import ImageNotFound, NotFound

from hil.base_image import base_image
from hil.engine import engine_errors
from hil.harness.runner import ROOT
from mico.errors import DeviceError, ProtocolError, ToolError, UsageError

__all__ = ["DESCRIPTION", "NAMES", "Image", "build_image", "content_hash", "describe", "find_image", "list_images"]

NAMES = ("soc", "bitfusion", "bench", "database")
DESCRIPTION = "mico.description"
_DOCKER = ROOT / "docker"
_HASH_DIGITS = 12
# What pip and apt need to get through a site's network; never part of an image that runs.
_PASSED = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
_CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_TAIL = 40

Say = Callable[[str], None]
Parameters = Mapping[str, Any]
Sources = dict[str, bytes]  # place in the context: content


@dataclass(frozen=True)
class Image:
    """A built image: name with tag, engine's id, bytes, and what it simulates (empty: nothing)."""

    name: str
    id: str
    size: int
    description: dict[str, Any]


def content_hash(name: str, parameters: Parameters | None = None) -> str:
    """Hex SHA-256 of what goes into image *name*: sources, Dockerfile, pinned packages, parameters."""
    return _hash(name, parameters, _sources(name))


def full_name(name: str, parameters: Parameters | None = None) -> str:
    """``mico-NAME:HASH`` of the sources as they are now."""
    return _tag(name, content_hash(name, parameters))


def _hash(name: str, parameters: Parameters | None, sources: Sources) -> str:
    digest = hashlib.sha256(json.dumps([name, dict(parameters or {})], sort_keys=True).encode())
    for path, data in sources.items():
        digest.update(f"\n{path} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _tag(name: str, content: str) -> str:
    return f"mico-{name}:{content[:_HASH_DIGITS]}"


def build_image(
    client: docker.DockerClient,
    name: str,
    parameters: Parameters | None = None,
    *,
    say: Say | None = None,
    again: bool = False,
) -> Image:
    """Image *name* of the sources as they are now, built unless it is there.

    Parameters
    ----------
    parameters
        ``soc``: of :func:`hil.verilate.build_soc`; ``bitfusion``: of the machine.
    say
        Takes a line about each step; None: nobody does.
    again
        Build it even if it is there.

    Raises
    ------
    UsageError
        No such image.
    ToolError
        A step fails: with the end of what it printed.
    DeviceError
        The engine does not answer.
    """
    say = say or (lambda _line: None)
    sources = _sources(name)
    content = _hash(name, parameters, sources)
    target = _tag(name, content)
    with engine_errors("the image cannot be built", target), _one_at_a_time():
        if not again:
            try:
                return _image(client.images.get(target), target)
            except ImageNotFound:
                pass
        base = base_image(client, say)
        arguments = {key: os.environ[key] for key in _PASSED if os.environ.get(key)}
        arguments |= {"BASE": base, "PARAMETERS": json.dumps(dict(parameters or {}), sort_keys=True)}
        with _context(sources) as context:
            built = _build(client, context, say, buildargs=arguments, network_mode="host")
        labels = {
            "mico.image": name,
            "mico.content": content,
            "mico.base": base,
            "org.opencontainers.image.title": f"mico-{name}",
            "org.opencontainers.image.version": metadata.version("mico-hil"),
            "org.opencontainers.image.licenses": "Apache-2.0",
        }
        described = _read_file(client, built, "/description.json")
        if described is not None:
            labels[DESCRIPTION] = json.dumps(json.loads(described), sort_keys=True)
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                _add(tar, "Dockerfile", f"FROM {built}\n".encode())
            file.seek(0)
            _build(client, file, say, labels=labels, tag=target)
        image = client.images.get(target)
        image.tag(f"mico-{name}", "latest")
    say(f"{target}: {image.attrs['Size'] / 1e6:.1f} MB")
    return _image(image, target)


def find_image(client: docker.DockerClient, name: str) -> Image:
    """A built image: ``soc`` and the other names stand for those of the sources as they are now.

    Raises
    ------
    DeviceError
        It is not there.
    """
    wanted = full_name(name) if name in NAMES else name
    with engine_errors("the image cannot be looked up", wanted):
        try:
            return _image(client.images.get(wanted), wanted)
        except ImageNotFound:
            cure = f"mico images build {name}" if name in NAMES else "mico images list"
            raise DeviceError("there is no such image", where=wanted, cure=cure) from None


def list_images(client: docker.DockerClient) -> list[Image]:
    """All images of ours that the engine has, by name."""
    with engine_errors("images cannot be listed", "container engine"):
        found = client.images.list(filters={"label": "mico.image"})
    return sorted((_image(image, tag) for image in found for tag in image.tags), key=lambda image: image.name)


def describe(image: Image) -> dict[str, Any]:
    """What *image* simulates; ProtocolError where it does not say."""
    if not image.description:
        raise ProtocolError("the image does not say what it simulates", where=image.name, cure="mico images build")
    return image.description


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A second builder of this tree waits for the first, and finds its images."""
    path = ROOT / "build" / "images.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- contexts


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def _sources(name: str) -> Sources:
    """Files of the context that decide what the image is."""
    if name not in NAMES:
        raise UsageError(f"no image {name!r}", where="image", cure=f"one of {', '.join(NAMES)}")
    folder = _DOCKER / name
    packages = "".join(f"{line}\n" for line in _pinned(folder / "packages.txt"))
    sources = {
        "Dockerfile": (folder / "Dockerfile").read_bytes(),
        "install.sh": (_DOCKER / "install.sh").read_bytes(),
        "packages.txt": packages.encode(),
    }
    paths: set[Path] = set()
    for entry in _lines(folder / "sources.txt"):
        path = ROOT / entry
        if not path.exists():
            raise UsageError(f"no such source: {entry}", where=f"docker/{name}/sources.txt")
        paths |= {path} if path.is_file() else {inner for inner in path.rglob("*") if inner.is_file()}
    kept = [path for path in sorted(paths) if "__pycache__" not in path.parts]
    return sources | {f"src/{path.relative_to(ROOT)}": path.read_bytes() for path in kept}


def _pinned(path: Path) -> list[str]:
    """Packages of *path* with the versions of requirements.lock."""
    locked = {_plain(line.split("==")[0]): line for line in _lines(ROOT / "requirements.lock")}
    wanted = _lines(path)
    unknown = [package for package in wanted if _plain(package) not in locked]
    if unknown:
        raise UsageError(f"not in requirements.lock: {', '.join(unknown)}", where=str(path.relative_to(ROOT)))
    return [locked[_plain(package)] for package in wanted]


def _plain(package: str) -> str:
    return package.lower().replace("_", "-")


def _context(sources: Sources) -> IO[bytes]:
    """The context as a tar file: sources, and what a site adds to get its downloads."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    with tarfile.open(fileobj=file, mode="w") as tar:
        for place, data in sources.items():
            _add(tar, place, data, executable=place.endswith(".sh"))
        for folder in ("ca", "wheels"):
            _add(tar, f"{folder}/README.md", (_DOCKER / folder / "README.md").read_bytes())
        for number, path in enumerate(_certificates()):
            _add(tar, f"ca/{number}.crt", path.read_bytes())
        for path in _wheels(sources["packages.txt"].decode().split()):
            _add(tar, f"wheels/{path.name}", path.read_bytes())
    file.seek(0)
    return file


def _add(tar: tarfile.TarFile, name: str, data: bytes, executable: bool = False) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o755 if executable else 0o644
    tar.addfile(info, io.BytesIO(data))


def _certificates() -> list[Path]:
    named = [Path(os.environ[key]) for key in _CERTIFICATES if os.environ.get(key)]
    return [*sorted((_DOCKER / "ca").glob("*.crt")), *[path for path in named if path.is_file()][:1]]


def _wheels(pinned: list[str]) -> list[Path]:
    """Wheels of *pinned* in docker/wheels and in the folders that this machine's pip looks through."""
    found: dict[str, Path] = {}
    for folder in [_DOCKER / "wheels", *_find_links()]:
        for line in pinned:
            package, version = line.split("==")
            for path in sorted(folder.glob("*.whl")):
                parts = path.name.split("-")
                same = _plain(parts[0]) == _plain(package)
                if same and parts[1].split("+")[0] == version:
                    found.setdefault(path.name, path)
    return list(found.values())


def _find_links() -> list[Path]:
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    words: list[str] = []
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        if key.endswith(".find-links"):
            words += shlex.split(value)
    folders = [Path(part) for word in words for part in word.split()]
    return [folder for folder in folders if folder.is_dir()]


# ---- the engine


def _build(client: docker.DockerClient, context: IO[bytes], say: Say, **options: Any) -> str:
    """Build a context; the image's id."""
    tail: list[str] = []
    built = ""
    for event in client.api.build(
        fileobj=context, custom_context=True, rm=True, forcerm=True, decode=True, timeout=3600, **options
    ):
        built = event.get("aux", {}).get("ID", built)
        for line in event.get("stream", "").splitlines():
            if line.strip():
                tail = [*tail[-_TAIL:], line]
                if line.startswith("Step "):
                    say(line)
        if "error" in event:
            raise ToolError(f"{event['error'].strip()}\n" + "\n".join(tail), where="docker build")
    if not built:
        raise ToolError("the engine named no image\n" + "\n".join(tail), where="docker build")
    return built


def _read_file(client: docker.DockerClient, image: str, path: str) -> bytes | None:
    """A file in an image, without starting it; None where there is none."""
    container = client.api.create_container(image, command=["none"])["Id"]
    try:
        stream, _ = client.api.get_archive(container, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            file = tar.extractfile(tar.getmembers()[0])
            return file.read() if file else None
    except NotFound:
        return None
    finally:
        client.api.remove_container(container, force=True, v=True)


def _image(found: Any, name: str) -> Image:
    labels = found.labels or {}
    return Image(name, found.id, int(found.attrs["Size"]), json.loads(labels.get(DESCRIPTION, "{}")))
