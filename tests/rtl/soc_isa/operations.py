"""Results of RV32IM's register instructions and conditions of its branches, on 32-bit words."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BRANCHES", "REGISTER_OPS", "M", "signed"]

M = 0xFFFF_FFFF


def signed(value: int) -> int:
    return value - (1 << 32) if value & 0x8000_0000 else value


def _quotient(a: int, b: int) -> int:
    return M if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    return a if b == 0 else a - _quotient(a, b) * b


# funct7, funct3 -> result of two 32-bit words, before masking
REGISTER_OPS: dict[tuple[int, int], Callable[[int, int], int]] = {
    (0x00, 0): lambda a, b: a + b,
    (0x20, 0): lambda a, b: a - b,
    (0x00, 1): lambda a, b: a << (b & 31),
    (0x00, 2): lambda a, b: int(signed(a) < signed(b)),
    (0x00, 3): lambda a, b: int(a < b),
    (0x00, 4): lambda a, b: a ^ b,
    (0x00, 5): lambda a, b: a >> (b & 31),
    (0x20, 5): lambda a, b: signed(a) >> (b & 31),
    (0x00, 6): lambda a, b: a | b,
    (0x00, 7): lambda a, b: a & b,
    (0x01, 0): lambda a, b: a * b,
    (0x01, 1): lambda a, b: signed(a) * signed(b) >> 32,
    (0x01, 2): lambda a, b: signed(a) * b >> 32,
    (0x01, 3): lambda a, b: a * b >> 32,
    (0x01, 4): lambda a, b: _quotient(signed(a), signed(b)),
    (0x01, 5): lambda a, b: M if b == 0 else a // b,
    (0x01, 6): lambda a, b: _remainder(signed(a), signed(b)),
    (0x01, 7): lambda a, b: a if b == 0 else a % b,
}
BRANCHES: dict[int, Callable[[int, int], bool]] = {
    0: lambda a, b: a == b,
    1: lambda a, b: a != b,
    4: lambda a, b: signed(a) < signed(b),
    5: lambda a, b: signed(a) >= signed(b),
    6: lambda a, b: a < b,
    7: lambda a, b: a >= b,
}
