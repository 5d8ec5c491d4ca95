"""fusion_unit and fusion_unit_functional against numpy: corners and random words in every mode. Seed 7."""

from __future__ import annotations

import itertools
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hil.harness.fusion import FUSION_BITS, fusion_dot

SEED = 7
RANDOM = 40
CORNERS = [0, 0xFFFFFFFF, 0x80808080, 0x7F7F7F7F, 0x88888888, 0x77777777, 0xAAAAAAAA, 0x55555555]


@cocotb.test()
async def both_models_equal_numpy(dut: Any) -> None:
    """Every mode and signedness: all pairs of corner words, then random ones, random above the elements too."""
    rng = np.random.default_rng(SEED)
    pairs = list(itertools.product(CORNERS, CORNERS))
    for act_bits, wgt_bits in itertools.product(FUSION_BITS, FUSION_BITS):
        for act_signed, wgt_signed in itertools.product((False, True), (False, True)):
            words = np.array(pairs, dtype=np.uint32)
            words = np.concatenate([words, rng.integers(0, 1 << 32, (RANDOM, 2), dtype=np.uint32)])
            expected = fusion_dot(
                words[:, 0], words[:, 1], act_bits, wgt_bits, act_signed=act_signed, wgt_signed=wgt_signed
            )
            dut.act_mode_i.value = FUSION_BITS.index(act_bits)
            dut.wgt_mode_i.value = FUSION_BITS.index(wgt_bits)
            dut.act_signed_i.value = int(act_signed)
            dut.wgt_signed_i.value = int(wgt_signed)
            for (act, wgt), total in zip(words, expected, strict=True):
                dut.act_i.value = int(act)
                dut.wgt_i.value = int(wgt)
                await Timer(1, "ns")
                found = dut.structural_o.value.to_signed(), dut.functional_o.value.to_signed()
                assert found == (total, total), (act_bits, wgt_bits, act_signed, wgt_signed, hex(act), hex(wgt), total)
