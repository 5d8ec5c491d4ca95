"""The Python model of the streaming engine against plain numpy, and the C model against the Python one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hil.harness.packing import field_bits, pack, unpack, weight_stream
from hil.harness.runner import ROOT
from hil.harness.stream_model import Config, Op, Out, StreamModel
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.random_elementwise import add_illegal, add_map, add_pool, map_configs, pool_configs
from tests.rtl.simd_stream.random_ops import add_case, clear_buffers, configs, random_weights
from tests.rtl.simd_stream.script import BUFFER_WORDS, RAM_BASE, RAM_BYTES, Script

Ints = NDArray[np.int64]


def values(rng: np.random.Generator, bits: int, signed: bool, shape: tuple[int, ...]) -> Ints:
    if bits == 1:
        return 1 - 2 * rng.integers(0, 2, shape) if signed else rng.integers(0, 2, shape)
    low = -(1 << (bits - 1)) if signed else 0
    return rng.integers(low, low + (1 << bits), shape)


def conv(image: Ints, weight: Ints, stride: int, pad: int) -> Ints:
    """Sums (OH, OW, OC) of *image* (H, W, C) and *weight* (OC, KH, KW, C); padding contributes nothing."""
    oc, kh, kw, _ = weight.shape
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    oh, ow = (padded.shape[0] - kh) // stride + 1, (padded.shape[1] - kw) // stride + 1
    out = np.zeros((oh, ow, oc), dtype=np.int64)
    for y in range(oh):
        for x in range(ow):
            window = padded[y * stride : y * stride + kh, x * stride : x * stride + kw]
            out[y, x] = (weight * window).sum(axis=(1, 2, 3))
    return out


def requantised(sums: Ints, multiplier: Ints, shift: Ints, bits: int, signed: bool) -> Ints:
    """The rule of mico/quant/README.md on Python integers, channel last."""
    out = np.zeros(sums.shape, dtype=np.int64)
    for index, acc in np.ndenumerate(sums):
        m, s = int(multiplier[index[-1]]), int(shift[index[-1]])
        if bits == 1 and signed:
            out[index] = 1 if int(acc) * m >= 0 else -1
        else:
            y = (int(acc) * m + (1 << (s - 1))) >> s
            out[index] = min(max(y, -(1 << (bits - 1)) if signed else 0), (1 << (bits - signed)) - 1)
    return out


@pytest.mark.parametrize("o", BITS)
@pytest.mark.parametrize("w", BITS)
@pytest.mark.parametrize("a", BITS)
def test_a_convolution_as_the_readme_programs_it_equals_numpy(a: int, w: int, o: int) -> None:
    rng = np.random.default_rng([12, a, w, o])
    signed, o_signed = bool(rng.integers(2)), bool(rng.integers(2))
    height, width, c, oc, kernel = 5, 6, int(rng.integers(1, 4)), int(rng.integers(1, 6)), 3
    stride, pad = int(rng.integers(1, 3)), int(rng.integers(0, 3))
    image, weight = values(rng, a, signed, (height, width, c)), random_weights(rng, w, (oc, kernel * kernel * c))
    bias, multiplier = rng.integers(-200, 200, oc), rng.integers(1 << 30, 1 << 31, oc)
    shift = np.full(oc, 31 + max(0, a + w - o))
    sums = conv(image, weight.reshape(oc, kernel, kernel, c), stride, pad) + bias
    expected = requantised(sums, multiplier, shift, o, o_signed)

    # {-1, +1} with padding: GATHER widens to two bits, which hold a zero.
    expand = a == 1 and signed
    config = Config(2 if expand else a, w, not signed, Out.PACK, o, not o_signed, expand=expand, tail_zero=True)
    memory = rng.integers(0, 256, 8192, dtype=np.uint8)
    string = pack(image.reshape(-1), a, binary=signed)
    memory[: -(-len(string) // 8)] = np.packbits(string, bitorder="little")
    stream = weight_stream(weight, w, np.stack([bias, multiplier, shift], axis=1))
    memory[1024 : 1024 + 4 * len(stream)] = stream.view(np.uint8)
    model = StreamModel(memory)
    pixel = c * a
    settings = {0: config.word, 1: weight.shape[1], 3: RAM_BASE, 4: kernel, 6: kernel * pixel, 7: width * pixel}
    settings |= {9: stride * pixel, 11: width * pixel, 12: height, 13: RAM_BASE + 4096, 14: oc * o, 15: oc}
    for register, value in settings.items():
        model.execute(Op.SET << 7, value, register)
    oh, ow = sums.shape[:2]
    for y in range(oh):
        model.execute(Op.SET << 7, y * stride - pad, 10)
        for x in range(0, ow, 4):
            left = x * stride - pad
            model.execute(Op.SET << 7, min(4, ow - x), 2)
            model.execute(Op.GATHER << 7, ((y * stride - pad) * width + left) * pixel, left * pixel)
            model.execute(Op.RUN << 7, RAM_BASE + 1024, (y * ow + x) * oc * o)
    assert model.execute(Op.WAIT << 7) == 0
    bits = np.unpackbits(memory[4096:], bitorder="little")
    assert (unpack(bits[: expected.size * o], o, not o_signed).reshape(expected.shape) == expected).all()
    assert not bits[expected.size * o : -(-expected.size * o // 8) * 8].any()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("unsigned", [False, True])
def test_pack_and_unpack_are_inverse_and_put_element_0_lowest(bits: int, unsigned: bool) -> None:
    x = values(np.random.default_rng(13), bits, not unsigned, (40,))
    string = pack(x, bits, binary=not unsigned)
    assert (unpack(string, bits, unsigned) == x).all()
    assert (string[:bits] == field_bits(np.array([int(x[0] < 0) if bits == 1 and not unsigned else x[0]]), bits)).all()


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C model under AddressSanitizer and UBSan, playing scripts."""
    program = tmp_path_factory.mktemp("stream") / "host_player"
    sources = [Path(__file__).with_name("host_player.c"), ROOT / "firmware/kernels/mico_stream_host.c"]
    flags = [
        "-std=c11",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover",
    ]
    command = ["gcc", *flags, "-I", str(ROOT / "firmware/kernels"), *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, timeout=120)
    return program


def play(player: Path, script: Script, folder: Path) -> int:
    """Plays *script* to the C model; what it compared."""
    script.write(folder / "script")
    command = [player, folder / "script", str(script.model.lanes), str(BUFFER_WORDS), str(RAM_BYTES)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return int(result.stdout)


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_c_model_equals_the_python_model(player: Path, tmp_path: Path, lanes: int) -> None:
    script = Script(np.random.default_rng(14), lanes)
    clear_buffers(script)
    for config in configs():
        add_case(script, config)
    assert play(player, script, tmp_path) > 352 * 15


@pytest.mark.parametrize("lanes", [2, 4])
def test_the_c_model_equals_the_python_model_in_pool_and_map(player: Path, tmp_path: Path, lanes: int) -> None:
    script = Script(np.random.default_rng(15), lanes)
    clear_buffers(script)
    for config in map_configs():
        add_map(script, config)
    for _ in range(4):
        for config in pool_configs():
            add_pool(script, config)
    add_illegal(script)
    assert play(player, script, tmp_path) > (144 + 64) * 15
