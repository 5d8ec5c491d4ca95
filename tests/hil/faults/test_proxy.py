"""The proxy between a host and a port: what it passes on, and what each fault looks like from the host."""

from __future__ import annotations

import os
import random
import time
import tty
from collections.abc import Iterator

import pytest

from hil.faults.proxy import Proxy, proxied
from hil.faults.script import DEVICE_KINDS, LINE_KINDS, Event, Noise, Script, draw
from hil.link.port import Port, open_port
from mico.errors import DeviceError, UsageError


@pytest.fixture
def device() -> Iterator[tuple[int, str]]:
    """A pty: the device's end, and the name under which the host finds it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def receive(port: Port, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := port.read(60.0)):
        data += more
    return data


def test_without_faults_every_byte_passes_in_both_directions(device):
    """Seed 1: 20,000 random bytes each way, in pieces."""
    master, url = device
    rng = random.Random(1)
    with Proxy(url, Script(0, "none")) as proxy, open_port(proxy.url) as port:
        for _ in range(20):
            there, back = rng.randbytes(1000), rng.randbytes(1000)
            port.write(there)
            os.write(master, back)
            assert receive(port, 1000) == back
            taken = b""
            while len(taken) < 1000:
                taken += os.read(master, 4096)
            assert taken == there
        assert proxy.passed == 40_000


@pytest.mark.parametrize(
    ("noise", "low", "high"),
    [(Noise(drop=0.1), 8800, 9200), (Noise(double=0.1), 10800, 11200), (Noise(flip=0.1), 10000, 10000)],
    ids=["drop", "double", "flip"],
)
def test_noise_damages_as_many_bytes_as_it_says(device, noise, low, high):
    """Seed 5, one byte in ten of 10,000."""
    master, url = device
    sent = bytes(10_000)
    with Proxy(url, Script(5, "noise", noise)) as proxy, open_port(proxy.url) as port:
        received = b""
        for start in range(0, len(sent), 1000):
            os.write(master, sent[start : start + 1000])
            while proxy.passed < start + 1000:
                received += port.read(0.01)
        received += port.drain(quiet_s=0.5)
    assert low <= len(received) <= high
    assert 800 <= sum(byte != 0 for byte in received) <= 1200 or not noise.flip


def test_a_disconnect_is_a_device_error_at_the_host(device):
    master, url = device
    with Proxy(url, Script(0, "", events=(Event("disconnect", 10),))) as proxy, open_port(proxy.url) as port:
        os.write(master, bytes(20))
        with pytest.raises(DeviceError, match="the port cannot be"):
            receive(port, 1000)


def test_after_a_cut_nothing_arrives(device):
    master, url = device
    with Proxy(url, Script(0, "", events=(Event("cut", 10),))) as proxy, open_port(proxy.url) as port:
        os.write(master, bytes(10))
        os.write(master, b"more")
        assert port.read(0.3) == b""


def test_garbage_comes_before_the_device_says_anything(device):
    master, url = device
    with Proxy(url, Script(0, "", events=(Event("garbage", 0, size=50),))) as proxy, open_port(proxy.url) as port:
        garbage = receive(port, 50)
        os.write(master, b"hello")
        assert receive(port, 5) == b"hello"
    assert len(garbage) == 50


@pytest.mark.parametrize("baud", [115_200, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_line_has_the_speed_of_its_baud_rate(device, baud):
    """Ten bits a byte: never faster, and in the best of up to thirty runs at most a tenth slower."""
    master, url = device
    count = baud // 50  # 0.2 s
    with Proxy(url, Script(0, "none"), baud=baud) as proxy, open_port(proxy.url) as port:
        best = 9.9
        for _ in range(30):
            started = time.monotonic()
            received, rest = 0, count
            while received < count:
                if rest:
                    rest -= os.write(master, bytes(min(rest, 1000)))
                received += len(port.read(0.001 if rest else 1.0))
            best = min(best, time.monotonic() - started)
            assert received == count
            if best < 0.22:
                break
    assert 0.195 <= best <= 0.22


def test_what_nothing_can_do_is_refused(device):
    with pytest.raises(UsageError, match="kill"):
        Proxy(device[1], Script(0, "", events=(Event("kill", 0),)))
    with pytest.raises(UsageError, match="flood"):
        draw(1, ["flood"])


def test_ports_go_through_the_proxy_only_within(device):
    master, url = device
    with proxied(Script(3, "", Noise(drop=1.0))) as proxies:
        with open_port(url) as port:
            os.write(master, b"lost")
            assert port.read(0.2) == b""
        assert len(proxies) == 1
    with open_port(url) as port:
        os.write(master, b"kept")
        assert receive(port, 4) == b"kept"
    assert len(proxies) == 1


def test_the_same_seed_draws_the_same_faults_and_all_kinds_come():
    kinds = (*LINE_KINDS, *DEVICE_KINDS)
    drawn = [draw(seed, kinds) for seed in range(200)]
    assert drawn == [draw(seed, kinds) for seed in range(200)]
    assert {script.kind for script in drawn} == set(kinds)
