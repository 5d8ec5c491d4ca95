"""Functions of bits as polynomials: exact, for all values of the bits at once.

A bit is a polynomial with integer coefficients in variables that are 0 or 1; so no variable has an exponent, and two
functions of bits are equal exactly when their polynomials have the same coefficients. Sums, differences and products of
words stay what they are, as integers: the word that an adder answers is known modulo 2^width, and as an integer where
its bounds show that no carry is lost. Where more is asked (a digit of a sum as a condition, an order that the bounds
leave open), :class:`NotProvedError` says so: nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ONE",
    "ZERO",
    "Bit",
    "Digit",
    "NotProvedError",
    "Poly",
    "Value",
    "Word",
    "add",
    "any_of",
    "bits_of",
    "choose",
    "conjoin",
    "constant",
    "differ",
    "disjoin",
    "extend",
    "interpret",
    "invert",
    "known_as",
    "multiply",
    "order",
    "product_of",
    "sum_of",
]

Poly = dict[int, int]  # set of variables, a bit each, to its coefficient, which is not 0


class NotProvedError(Exception):
    """The netlist does something of which this calculus cannot say what it is."""


def constant(value: int) -> Poly:
    return {0: value} if value else {}


def add(a: Poly, b: Poly, factor: int = 1) -> Poly:
    """a + factor * b."""
    total = dict(a)
    for term, coefficient in b.items():
        value = total.get(term, 0) + factor * coefficient
        if value:
            total[term] = value
        else:
            total.pop(term, None)
    return total


def multiply(a: Poly, b: Poly) -> Poly:
    """Product; x * x = x, for variables are bits."""
    total: Poly = {}
    for first, x in a.items():
        for second, y in b.items():
            total[first | second] = total.get(first | second, 0) + x * y
    return {term: coefficient for term, coefficient in total.items() if coefficient}


@dataclass(eq=False)
class Word:
    """What an adder answers: *poly* modulo 2^width, where *poly* as an integer lies in the bounds, if known."""

    poly: Poly
    width: int
    bounds: tuple[int, int] | None


@dataclass(frozen=True)
class Digit:
    """Bit *index* of a word."""

    word: Word
    index: int


Bit = Poly | Digit
ZERO: Poly = {}
ONE: Poly = {0: 1}


@dataclass
class Value:
    """An operand: equal to *poly* modulo 2^width, and as an integer within the bounds, where these are known."""

    poly: Poly
    bounds: tuple[int, int] | None


def _bounds_of(poly: Poly) -> tuple[int, int]:
    """Bounds from the coefficients alone."""
    low = high = poly.get(0, 0)
    for term, coefficient in poly.items():
        if term:
            low, high = low + min(coefficient, 0), high + max(coefficient, 0)
    return low, high


def _meet(bounds: tuple[int, int], poly: Poly) -> tuple[int, int]:
    low, high = _bounds_of(poly)
    return max(low, bounds[0]), min(high, bounds[1])


def _fits(word: Word, bits: int, signed: bool) -> bool:
    if word.bounds is None:
        return False
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    return low <= word.bounds[0] and word.bounds[1] < high


def interpret(bits: Sequence[Bit], signed: bool) -> Value:
    """The integer that *bits* are, bit 0 first."""
    poly: Poly = {}
    low = high = 0
    exact = True
    count, at = len(bits), 0
    while at < count:
        bit = bits[at]
        if not isinstance(bit, Digit):
            weight = -(1 << at) if signed and at == count - 1 else 1 << at
            poly = add(poly, bit, weight)
            bit_low, bit_high = (bit.get(0, 0),) * 2 if set(bit) <= {0} else (0, 1)
            low, high = low + min(weight * bit_low, weight * bit_high), high + max(weight * bit_low, weight * bit_high)
            at += 1
            continue
        word, run = bit.word, 0
        while at + run < count and bits[at + run] == Digit(word, run) and run < word.width:
            run += 1
        if not run:
            raise NotProvedError(f"bit {bit.index} of a sum stands alone")
        end = at + run
        if run == word.width:
            while end < count and bits[end] == Digit(word, word.width - 1):
                end += 1
        if end == count:  # it reaches the top, sign-extended or not
            extended = end - at > run
            if (extended or signed) and not _fits(word, run, True):
                if extended:
                    raise NotProvedError(f"a sum of {word.bounds} is extended from {run} bits")
                exact = False
            elif not signed and (extended or not _fits(word, run, False)):
                exact = False
        else:
            end = at + run
            if not _fits(word, run, False):
                raise NotProvedError(f"a sum of {word.bounds} stands in {run} bits below others")
        poly = add(poly, word.poly, 1 << at)
        if word.bounds is not None:
            low, high = low + (word.bounds[0] << at), high + (word.bounds[1] << at)
        at = end
    return Value(poly, _meet((low, high), poly) if exact else None)


def bits_of(word: Word) -> list[Bit]:
    if set(word.poly) <= {0}:
        value = word.poly.get(0, 0)
        return [ONE if value >> i & 1 else ZERO for i in range(word.width)]
    return [Digit(word, i) for i in range(word.width)]


def known_as(bit: Bit) -> int | None:
    """0 or 1 where the bit is constant."""
    return None if isinstance(bit, Digit) or not set(bit) <= {0} else bit.get(0, 0)


def _poly(bit: Bit) -> Poly:
    if isinstance(bit, Digit):
        raise NotProvedError(f"bit {bit.index} of a sum of {bit.word.width} bits is taken as a condition or mask")
    return bit


def invert(a: Bit) -> Bit:
    return add(ONE, _poly(a), -1)


def conjoin(a: Bit, b: Bit) -> Bit:
    for x, y in ((a, b), (b, a)):
        if (known := known_as(x)) is not None:
            return y if known else ZERO
    return multiply(_poly(a), _poly(b))


def disjoin(a: Bit, b: Bit) -> Bit:
    for x, y in ((a, b), (b, a)):
        if (known := known_as(x)) is not None:
            return ONE if known else y
    return add(add(_poly(a), _poly(b)), multiply(_poly(a), _poly(b)), -1)


def differ(a: Bit, b: Bit) -> Bit:
    for x, y in ((a, b), (b, a)):
        if (known := known_as(x)) is not None:
            return invert(y) if known else y
    return add(add(_poly(a), _poly(b)), multiply(_poly(a), _poly(b)), -2)


def choose(a: Bit, b: Bit, select: Bit) -> Bit:
    """b where select is 1, else a."""
    if (known := known_as(select)) is not None:
        return b if known else a
    if a == b:
        return a
    s = _poly(select)
    return add(multiply(s, _poly(b)), multiply(add(ONE, s, -1), _poly(a)))


def any_of(bits: Sequence[Bit]) -> Bit:
    if any(known_as(bit) == 1 for bit in bits):
        return ONE
    answer: Bit = ZERO
    for bit in bits:
        answer = disjoin(answer, bit)
    return answer


def order(a: Value, b: Value, margin: int) -> Bit:
    """a < b + margin, where the bounds decide it."""
    if a.bounds and b.bounds:
        if a.bounds[1] < b.bounds[0] + margin:
            return ONE
        if a.bounds[0] >= b.bounds[1] + margin:
            return ZERO
    raise NotProvedError(f"a comparison of {a.bounds} with {b.bounds} is open")


def extend(bits: list[Bit], width: int, signed: bool) -> list[Bit]:
    fill = bits[-1] if signed else ZERO
    return (bits + [fill] * width)[:width]


def sum_of(a: list[Bit], b: list[Bit], factor: int, width: int, signed: bool) -> Word:
    values = [interpret(bits, signed) for bits in (a, b)]
    for bits, value in zip((a, b), values, strict=True):
        if value.bounds is None and len(bits) < width:
            raise NotProvedError("a sum that may have overflowed is extended")
    poly = add(values[0].poly, values[1].poly, factor)
    if values[0].bounds is None or values[1].bounds is None:
        return Word(poly, width, None)
    low, high = sorted(factor * bound for bound in values[1].bounds)
    return Word(poly, width, _meet((values[0].bounds[0] + low, values[0].bounds[1] + high), poly))


def product_of(a: list[Bit], b: list[Bit], width: int, signed: bool) -> Word:
    x, y = interpret(a, signed), interpret(b, signed)
    if x.bounds is None or y.bounds is None:
        raise NotProvedError("a factor that may have overflowed")
    corners = [p * q for p in x.bounds for q in y.bounds]
    poly = multiply(x.poly, y.poly)
    return Word(poly, width, _meet((min(corners), max(corners)), poly))
