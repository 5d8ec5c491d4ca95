#!/usr/bin/env bash
# Sets up everything that the project needs: Debian packages, the virtual environment, the Python packages, the command `mico`.
# Does nothing (in well under 5 s) when all of it is there. Exit codes: 0 ok, 3 something is missing that cannot be installed here.
# MICO_PYTHON names the interpreter (3.11 or later); pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, ...) are honoured.
set -euo pipefail
cd "$(dirname "$0")"

packages=(g++ make perl gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf)
extras=(postgresql) # for tests that skip without it: installed where that asks for nothing
python=${MICO_PYTHON:-python3}
venv=.venv

say() { printf 'setup: %s\n' "$*"; }
give_up() {
    printf 'setup: %s\n' "$1" >&2
    printf 'setup: run this once, then try again:\n\n    %s\n\n' "$2" >&2
    exit 3
}

if ! command -v dpkg-query >/dev/null 2>&1; then
    for tool in g++ make perl riscv64-unknown-elf-gcc; do
        command -v "$tool" >/dev/null 2>&1 || give_up "$tool is missing and this is not a Debian system" \
            "install g++, make, perl, riscv64-unknown-elf-gcc and picolibc for it with your package manager"
    done
else
    have() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
    missing=()
    for package in "${packages[@]}"; do have "$package" || missing+=("$package"); done
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then missing+=(python3 python3-venv); fi
    lacking=()
    for package in "${extras[@]}"; do have "$package" || lacking+=("$package"); done
    if ((${#lacking[@]})) && { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }; }; then
        missing+=("${lacking[@]}")
    fi
    if ((${#missing[@]})); then
        install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
        as_root=""
        if [ "$(id -u)" != 0 ]; then
            if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
                as_root="sudo"
            else
                give_up "Debian packages are missing: ${missing[*]}" "sudo sh -c '$install'"
            fi
        fi
        say "installing ${missing[*]}"
        log=$(mktemp)
        $as_root env DEBIAN_FRONTEND=noninteractive sh -c "$install" >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            give_up "apt could not install ${missing[*]}" "sudo sh -c '$install'"
        }
        rm -f "$log"
    fi
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    give_up "$("$python" --version) is too old: Python 3.11 or later is needed" "MICO_PYTHON=/path/to/python3.11 make demo"

stamp=$venv/.mico-setup
want=$( { "$python" --version; pwd; cat pyproject.toml requirements.lock; } | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    say "Python packages into $venv (a few minutes the first time)"
    rm -f "$stamp"
    "$venv/bin/python" --version >/dev/null 2>&1 || { rm -rf "$venv"; "$python" -m venv "$venv"; }
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.lock ||
        give_up "pip could not install the packages of requirements.lock" "$venv/bin/python -m pip install -r requirements.lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    printf '%s\n' "$want" >"$stamp"
fi
