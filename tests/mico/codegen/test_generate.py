"""Generated C: the contract of model.h, determinism, and what is refused."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mico.codegen.c import generate, load_layouts
from mico.errors import QuantError
from mico.graph import OpKind
from mico.quant.integer import Format


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


models = _load("random_models")


def test_model_h_says_what_the_runtime_needs(tmp_path: Path) -> None:
    model = models.lenet5(4, 4).build()
    generated = generate(model, tmp_path)
    text = (tmp_path / "model.h").read_text()
    defined = dict(re.findall(r"#define (MODEL_\w+) (\S+)", text))
    assert defined["MODEL_NAME"] == '"lenet5_w4a4"'
    assert defined["MODEL_ID"] == f'"{model.digest()[:16]}"'
    assert (defined["MODEL_INPUT_BYTES"], defined["MODEL_INPUT_SIGNED"]) == ("784", "0")
    assert (defined["MODEL_OUTPUT_COUNT"], defined["MODEL_LAYER_COUNT"]) == ("10", "8")
    assert int(defined["MODEL_BUFFER_BYTES"]) == generated.buffer_bytes >= generated.buffer_lower_bound > 0
    assert generated.layer_names == tuple(op.name for op in model.ops if op.kind is not OpKind.FLATTEN)
    assert tuple(load_layouts(tmp_path / "layout.json").layers) == generated.layer_names


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        generate(models.random_model(3).build(), tmp_path / folder)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_generated_code_uses_no_heap_and_no_float(tmp_path: Path) -> None:
    generated = generate(models.random_model(4).build(), tmp_path)
    for path in generated.sources:
        assert not re.search(r"\b(malloc|calloc|free|float|double)\b", path.read_text())


def test_a_flattened_picture_as_output_is_refused(tmp_path: Path) -> None:
    builder = models.ModelBuilder(1, (2, 3, 3))
    builder.requant(builder.flatten("input"), out=Format(32, True))
    with pytest.raises(QuantError, match="flattened picture"):
        generate(builder.build(), tmp_path)


def test_adding_a_flattened_picture_to_a_vector_in_another_order_is_refused(tmp_path: Path) -> None:
    builder = models.ModelBuilder(1, (2, 3, 3))
    flat = builder.flatten("input")
    other = builder.linear(flat, 18, out=Format(8, False))
    builder.add(flat, other, out=Format(32, True))
    with pytest.raises(QuantError, match="another order"):
        generate(builder.build(), tmp_path)


def test_lower_bits_take_less_flash(tmp_path: Path) -> None:
    sizes = [generate(models.lenet5(bits, bits).build(), tmp_path / str(bits)).weight_bytes for bits in (8, 4, 2, 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.32 * sizes[0]


@pytest.mark.parametrize("simd", [0, 1, 2])
def test_generated_code_compiles_for_rv32_without_a_warning(tmp_path: Path, simd: int) -> None:
    from mico.codegen.c import include_dirs, kernel_sources

    generated = generate(models.random_model(5).build(), tmp_path, simd=simd)
    flags = ["-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "--specs=picolibc.specs"]
    flags += ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    flags += [f"-DMICO_SIMD={simd}", f"-I{tmp_path}", *(f"-I{path}" for path in include_dirs())]
    for source in (*generated.sources, *kernel_sources(simd)):
        try:
            done = subprocess.run(
                ["riscv64-unknown-elf-gcc", *flags, "-c", source, "-o", tmp_path / "out.o"],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            pytest.skip("riscv64-unknown-elf-gcc is not installed")
        assert done.returncode == 0, done.stderr


def test_multipliers_are_normalised_without_changing_a_result() -> None:
    from mico.codegen.c.program import normalised
    from mico.quant.integer import Requant

    rng = np.random.default_rng(6)
    m, s = rng.integers(1, 1 << 31, 200), rng.integers(1, 63, 200)
    m = (m >> rng.integers(0, 31, 200)).clip(1)
    pairs = normalised(Requant(m.astype(np.int32), s.astype(np.int32)))
    assert all(0 < a < 1 << 31 and b <= 62 and (a >= 1 << 30 or b == 62) for a, b in pairs)
    assert [a << (62 - b) for a, b in pairs] == [int(a) << (62 - int(b)) for a, b in zip(m, s, strict=True)]
