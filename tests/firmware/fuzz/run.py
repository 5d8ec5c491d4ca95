"""Builds the fuzzers of this folder with clang and runs them: ``python -m tests.firmware.fuzz.run [--seconds 600]``.

Both run side by side. What they found before is kept under ``build/fuzz``, so a later run goes on from there. Exits
with 1 where something is found (the input is left in ``build/fuzz``), with 3 where there is no clang with libFuzzer.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.firmware.host_build import HAND_MODEL, LOADER, ROOT

FUZZERS = {
    "loader": ("tests/firmware/fuzz/fuzz_loader.c", *LOADER),
    "console": (
        "tests/firmware/fuzz/fuzz_console.c",
        "firmware/runtime/text.c",
        "firmware/runtime/inference.c",
        f"{HAND_MODEL}/model.c",
        *LOADER,
    ),
}
FLAGS = ("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=fuzzer,address,undefined",
         "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", f"-I{HAND_MODEL}", "-Ifirmware/runtime")  # fmt: skip
CURE = "apt-get install clang-14 libclang-rt-14-dev"
SEEDS = (bytes(range(0xC0, 0x100)), b"\x81\0\0\0\0\0\0\0\0" + b"\x80\1\1\0\0\0\0\4\0abcd", b"\x05name%")


def find_clang() -> str | None:
    """A clang that can link libFuzzer; None where there is none."""
    for name in ("clang-14", "clang", "clang-16", "clang-15"):
        path = shutil.which(name)
        if path is not None:
            told = subprocess.run([path, "-print-runtime-dir"], capture_output=True, text=True, check=False).stdout
            if list(Path(told.strip()).glob("libclang_rt.fuzzer*")):
                return path
    return None


def build(name: str, clang: str) -> Path:
    """The fuzzer *name*, under ``build/fuzz`` by the contents of what it is made of."""
    digest = hashlib.sha256(repr(FLAGS).encode())
    headers = [*(ROOT / "firmware").rglob("*.[ch]"), *(ROOT / "tests" / "firmware").rglob("*.[ch]")]
    for path in sorted(headers):
        digest.update(path.read_bytes())
    program = ROOT / "build" / "fuzz" / f"{name}-{digest.hexdigest()[:12]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        scratch = program.with_suffix(f".{os.getpid()}")
        subprocess.run([clang, *FLAGS, *FUZZERS[name], "-o", str(scratch)], cwd=ROOT, check=True)
        scratch.replace(program)
    return program


def start(name: str, program: Path, seconds: int, corpus: Path) -> subprocess.Popen[str]:
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1", "-seed=1"]
    options.append(f"-artifact_prefix={corpus.parent}/{name}-finding-")
    command = [str(program), *options, str(corpus)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")


def run(seconds: int, folder: Path) -> dict[str, tuple[int, str]]:
    """Fuzz for *seconds*; exit code and what was said of each, 77 for a finding."""
    clang = find_clang()
    assert clang is not None
    programs = {name: build(name, clang) for name in FUZZERS}
    running = {name: start(name, program, seconds, folder / name) for name, program in programs.items()}
    try:
        said = {name: process.communicate(timeout=seconds + 120)[1] for name, process in running.items()}
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
    return {name: (running[name].returncode, said[name]) for name in running}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    if find_clang() is None:
        print(f"no clang with libFuzzer: {CURE}", file=sys.stderr)
        return 3
    found = 0
    for name, (code, said) in run(options.seconds, ROOT / "build" / "fuzz").items():
        executed = re.search(r"number_of_executed_units: (\d+)", said)
        coverage = re.findall(r"cov: (\d+)", said)
        print(f"{name}: {executed.group(1) if executed else '?'} inputs, {coverage[-1] if coverage else '?'} edges")
        if code != 0:
            found = 1
            print(f"{name}: a finding, exit code {code}\n{said[-4000:]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
