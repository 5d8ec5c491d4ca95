"""The command in this process (``mico``), and empty databases of both kinds (``where``)."""

from tests.hil.command import Mico, mico
from tests.hil.store.conftest import server, where

__all__ = ["Mico", "mico", "server", "where"]
