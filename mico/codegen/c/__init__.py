"""C firmware from an IntegerModel: what runs on the core, and on the host for checking."""

from mico.codegen.c.generate import GeneratedModel, generate
from mico.codegen.c.host import HostModel
from mico.codegen.c.layout import ModelLayouts, TensorLayout, load_layouts, pack_tensor, unpack_tensor
from mico.codegen.c.sources import include_dirs, kernel_sources

__all__ = [
    "GeneratedModel",
    "HostModel",
    "ModelLayouts",
    "TensorLayout",
    "generate",
    "include_dirs",
    "kernel_sources",
    "load_layouts",
    "pack_tensor",
    "unpack_tensor",
]
