"""Searchers by name; each file is imported when its searcher is asked for."""

from __future__ import annotations

from importlib import import_module

from mico.errors import UsageError
from mico.search.base import Searcher

__all__ = ["DEFAULT", "NAMES", "searcher_class"]

_CLASSES = {
    "sieve": ("sieve", "SieveSearch"),
    "mico": ("mico", "MicoSearch"),
    "ilp": ("ilp", "IlpSearch"),
    "ilp-local": ("ilp", "IlpLocalSearch"),
    "amp": ("amp", "AmpSearch"),
    "nsga2": ("nsga2", "NsgaSearch"),
    "tpe": ("tpe", "TpeSearch"),
    "gp": ("gp", "GpSearch"),
    "random": ("random", "RandomSearch"),
    "uniform": ("uniform", "UniformSearch"),
}
NAMES = tuple(_CLASSES)
DEFAULT = "sieve"


def searcher_class(name: str) -> type[Searcher]:
    """The class of *name*, one of NAMES.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    if name not in _CLASSES:
        raise UsageError(f"no searcher {name!r}", cure=f"one of {', '.join(NAMES)}")
    module, attribute = _CLASSES[name]
    found: type[Searcher] = getattr(import_module(f"mico.search.{module}"), attribute)
    return found
