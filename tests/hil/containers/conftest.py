"""The real container engine; tests skip, with the reason, where none runs or no base image can be had."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from hil.base_image import base_image
from hil.engine import connect
from hil.images import Image, build_image
from mico.errors import DeviceError, ToolError


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = connect()
    except DeviceError as error:
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(scope="session")
def soc_image(engine: docker.DockerClient) -> Image:
    """The image of the sources as they are; `make images` has built it, or it takes minutes now."""
    try:
        base_image(engine, print)
    except ToolError as error:
        pytest.skip(f"no base image: {error}")
    return build_image(engine, "soc", say=print)
