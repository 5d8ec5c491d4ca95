"""Ports of a core's netlist, and whether they fit the CPU socket; said before Verilator says it at length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mico.errors import UsageError

__all__ = ["FILLINGS", "Filling", "Port", "can_rest", "check_netlist", "read_ports"]


@dataclass(frozen=True)
class Port:
    """A port of a module: ``input`` or ``output``, and its width in bits."""

    direction: str
    width: int


@dataclass(frozen=True)
class Filling:
    """A core that fits the socket.

    Attributes
    ----------
    kind
        CPU_KIND in the info block.
    module
        Name of the netlist's top module.
    ports
        Ports that the socket connects; width 0 is any width.
    width_parameters
        Parameter of ``soc_top`` that takes the width of a port.
    cure
        How to get a netlist that fits.
    rest_names
        Names inside the netlist by which the socket sees that the core is at rest; empty: it cannot see it.
    """

    kind: int
    module: str
    ports: Mapping[str, Port]
    width_parameters: Mapping[str, str]
    cure: str
    rest_names: tuple[str, ...] = ()


def _ports(inputs: str, outputs: str, prefix: str = "") -> dict[str, Port]:
    """Ports from words like ``cmd_ready`` (1 bit) and ``rsp_data:32``."""
    ports: dict[str, Port] = {}
    for direction, words in (("input", inputs), ("output", outputs)):
        for word in words.split():
            name, _, width = word.partition(":")
            ports[prefix + name] = Port(direction, int(width or 1))
    return ports


_CFU_IN = "cmd_ready rsp_valid rsp_payload_outputs_0:32"
_CFU_OUT = "cmd_valid cmd_payload_function_id:10 cmd_payload_inputs_0:32 cmd_payload_inputs_1:32 rsp_ready"

FILLINGS: Mapping[str, Filling] = {
    "vexriscv": Filling(
        kind=1,
        module="VexRiscv",
        ports={
            **_ports("clk reset externalResetVector:32 timerInterrupt softwareInterrupt externalInterruptArray:32", ""),
            **_ports("ACK ERR DAT_MISO:32", "CYC STB WE ADR:30 DAT_MOSI:32 SEL:4 CTI:3 BTE:2", "iBusWishbone_"),
            **_ports("ACK ERR DAT_MISO:32", "CYC STB WE ADR:30 DAT_MOSI:32 SEL:4 CTI:3 BTE:2", "dBusWishbone_"),
            **_ports(_CFU_IN, _CFU_OUT, "CfuPlugin_bus_"),
        },
        width_parameters={},
        cure="use VexRiscv_FullCfu.v of pythondata-cpu-vexriscv",
        rest_names=(
            *("memory_arbitration_isValid", "writeBack_arbitration_isValid", "CsrPlugin_mcycle"),
            *("IBusCachedPlugin_cache", "lineLoader_flushCounter", "lineLoader_flushPending"),
            *("dataCache_1", "stageB_flusher_counter"),
        ),
    ),
    "vexiiriscv": Filling(
        kind=2,
        module="VexiiRiscv",
        ports={
            **_ports("clk reset", ""),
            **_ports(
                "rdtime:64 harts_0_int_m_timer harts_0_int_m_software harts_0_int_m_external",
                "",
                "PrivilegedPlugin_logic_",
            ),
            **_ports(
                "cmd_ready rsp_valid rsp_payload_id:0 rsp_payload_error rsp_payload_word:32",
                "cmd_valid cmd_payload_id:0 cmd_payload_address:32",
                "FetchCachelessPlugin_logic_bus_",
            ),
            **_ports(
                "cmd_ready rsp_valid rsp_payload_id:0 rsp_payload_error rsp_payload_data:32",
                "cmd_valid cmd_payload_id:0 cmd_payload_write cmd_payload_address:32 cmd_payload_data:32"
                " cmd_payload_mask:4",
                "LsuCachelessPlugin_logic_bus_",
            ),
            **_ports(_CFU_IN, _CFU_OUT, "CfuPlugin_logic_bus_"),
        },
        width_parameters={
            "FetchCachelessPlugin_logic_bus_cmd_payload_id": "FetchIdWidth",
            "LsuCachelessPlugin_logic_bus_cmd_payload_id": "LsuIdWidth",
        },
        cure="generate VexiiRiscv with cacheless fetch and load/store buses, without atomics, with a CFU plugin of 10 "
        "bits of function id, and with reset vector 0",
    ),
}

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PORT = re.compile(
    r"\b(input|output|inout)\s+(?:wire\s+|reg\s+|logic\s+)?(?:signed\s+)?(?:\[\s*(\d+)\s*:\s*(\d+)\s*\]\s*)?(\w+)"
)


def read_ports(netlist: Path, module: str) -> dict[str, Port]:
    """Ports of *module*, declared in its header (as SpinalHDL writes them).

    Raises
    ------
    UsageError
        The file has no such module.
    """
    text = _COMMENT.sub(" ", netlist.read_text(errors="replace"))
    header = re.search(rf"\bmodule\s+{module}\b\s*(?:#\s*\(.*?\)\s*)?\((.*?)\)\s*;", text, re.DOTALL)
    if header is None:
        raise UsageError(f"no module {module}", where=str(netlist), cure="give the netlist of the core itself")
    ports: dict[str, Port] = {}
    for direction, high, low, name in _PORT.findall(header.group(1)):
        ports[name] = Port(direction, int(high) - int(low) + 1 if high else 1)
    return ports


def check_netlist(netlist: Path, filling: Filling) -> dict[str, int]:
    """Check that *netlist* fits; return the parameters of ``soc_top`` that its widths set.

    Raises
    ------
    UsageError
        A port is missing, has another direction or width, or is an input that nothing would drive: names them all.
    """
    found = read_ports(netlist, filling.module)
    faults: list[str] = []
    missing = [name for name in filling.ports if name not in found]
    if missing:
        faults.append(f"missing ports: {', '.join(missing)}")
    for name, wanted in filling.ports.items():
        port = found.get(name)
        if port and (port.direction != wanted.direction or wanted.width not in (0, port.width)):
            faults.append(f"{name} is a {port.width}-bit {port.direction}, not a {wanted.width}-bit {wanted.direction}")
    undriven = [name for name, port in found.items() if port.direction != "output" and name not in filling.ports]
    if undriven:
        faults.append(f"inputs that the socket does not drive: {', '.join(undriven)}")
    if faults:
        raise UsageError(f"{filling.module} does not fit: {'; '.join(faults)}", where=str(netlist), cure=filling.cure)
    return {parameter: found[name].width for name, parameter in filling.width_parameters.items()}


def can_rest(path: Path, filling: Filling) -> bool:
    """Whether the netlist has the names that the clock gate of ``cpu_vexriscv.sv`` looks at."""
    text = path.read_text()
    return bool(filling.rest_names) and all(re.search(rf"\b{name}\b", text) for name in filling.rest_names)
