"""Parameters of a BitFusion accelerator, as in ``rtl/bitfusion/README.md``, and what follows from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mico.errors import UsageError

__all__ = ["Machine"]


@dataclass(frozen=True)
class Machine:
    """An accelerator's sizes.

    Attributes
    ----------
    rows, cols
        N fusion units add up in a column; M columns, an output channel each.
    bus_bits
        Data width of its AXI port.
    ibuf_bytes, wbuf_bytes, obuf_bytes
        Input, weight and partial-sum buffers.
    patch_depth
        Chunks that the patch FIFO holds.
    param_depth
        Octets (M output channels) whose bias, multiplier and shift the parameter buffer holds.
    """

    rows: int = 16
    cols: int = 32
    bus_bits: int = 256
    ibuf_bytes: int = 32 * 1024
    wbuf_bytes: int = 64 * 1024
    obuf_bytes: int = 16 * 1024
    patch_depth: int = 64
    param_depth: int = 32

    def __post_init__(self) -> None:
        def require(condition: bool, what: str) -> None:
            if not condition:
                raise UsageError(what, where="BitFusion machine", cure="sizes as in rtl/bitfusion/README.md")

        require(min(asdict(self).values()) >= 1, "every size must be positive")
        require(self.bus_bits >= 32 and self.bus_bits & (self.bus_bits - 1) == 0, f"bus of {self.bus_bits} bits")
        require(self.beat <= self.line, f"a beat ({self.beat} bytes) is wider than a line ({self.line} bytes)")
        for name, size, unit in (
            ("input buffer", self.ibuf_bytes, self.line),
            ("weight buffer", self.wbuf_bytes, 4 * self.rows * self.cols),
            ("partial-sum buffer", self.obuf_bytes, 4 * self.cols),
        ):
            require(size >= 2 * unit, f"{name} of {size} bytes holds less than two entries of {unit}")
        require(self.ibuf_bytes & (self.ibuf_bytes - 1) == 0, "the input buffer must be a power of two bytes")

    @property
    def beat(self) -> int:
        """Bytes of a bus beat."""
        return self.bus_bits // 8

    @property
    def line(self) -> int:
        """Bytes that the input buffer gives in a cycle."""
        return 1 << (4 * self.rows - 1).bit_length()

    @property
    def wbuf_rows(self) -> int:
        """Words of 32 bits for every fusion unit."""
        return self.wbuf_bytes // (4 * self.rows * self.cols)

    @property
    def obuf_entries(self) -> int:
        """Partial sums of a column."""
        return self.obuf_bytes // (4 * self.cols)

    @property
    def wbuf_row_beats(self) -> int:
        """Beats of a row of the weight buffer in memory."""
        return -(-4 * self.rows * self.cols // self.beat)

    @property
    def param_row_beats(self) -> int:
        """Beats of a row (bias, multiplier or shift) of a parameter entry; an entry has three."""
        return -(-4 * self.cols // self.beat)

    def lanes(self, act_bits: int, wgt_bits: int) -> int:
        """Products of a fusion unit in a cycle (pf): 1-bit operands compute as 2 bits."""
        return (8 // max(act_bits, 2)) * (8 // max(wgt_bits, 2))

    def chunk_elements(self, act_bits: int, wgt_bits: int) -> int:
        """Elements of the reduction that the array takes in a cycle."""
        return self.rows * self.lanes(act_bits, wgt_bits)

    def subwords(self, act_bits: int, wgt_bits: int) -> int:
        """Chunks whose weights share a row of the weight buffer (R)."""
        return 32 // (self.lanes(act_bits, wgt_bits) * wgt_bits)

    def parameters(self) -> dict[str, int]:
        """By name, for provenance and for the simulator's build."""
        return asdict(self)
