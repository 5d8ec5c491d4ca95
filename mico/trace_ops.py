"""From one node of a torch.fx graph to a draft of a Layer: which operations are supported, and with which arguments."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional

from mico.errors import GraphError
from mico.graph import OpKind, Shape
from mico.trace_fold import BATCH_NORM, Draft

__all__ = ["Converter", "TensorShape", "is_in_place", "is_supported_module"]

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_SUPPORTED = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d,
              nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity, *_DROPOUTS)  # fmt: skip
_CURES = {
    "softmax": "leave it out: the largest logit stays the largest",
    "logsoftmax": "leave it out and put it into the training loss",
    "sub": "normalise the images before the network or fold it into the first layer",
    "div": "normalise the images before the network or fold it into the first layer",
    "conv2d": "use nn.Conv2d",
    "linear": "use nn.Linear",
    "batchnorm": "use nn.BatchNorm2d after a convolution",
}
_ACTIVATIONS = ("sigmoid", "tanh", "gelu", "silu", "hardswish", "leakyrelu", "relu6", "elu", "hardtanh", "mish")
_SUPPORTED_TEXT = (
    "supported: Conv2d, Linear, BatchNorm after them, ReLU, Max/Avg/AdaptiveAvgPool2d, mean over (2, 3), "
    "+ of two tensors, cat over channels, flatten, Dropout, Identity"
)
# ruff: disable[SIM905] - one word a line would be a page
_C_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long main "
    "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile "
    "while".split()
)
# ruff: enable[SIM905]


class TensorShape(tuple[int, ...]):
    """Shape, batch first, of a node that yields a tensor; other results are kept as they are."""

    __slots__ = ()


def is_supported_module(module: nn.Module) -> bool:
    """Whether *module* is handled as a whole: a supported class or a subclass that keeps its forward."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in _SUPPORTED)


def is_in_place(node: fx.Node, root: nn.Module) -> bool:
    """Whether *node* overwrites its first input."""
    if node.op == "call_module":
        return bool(getattr(root.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    if node.op != "call_function":
        return False
    if node.target is functional.relu:
        return bool(node.kwargs.get("inplace", False)) or node.args[1:2] == (True,)
    return node.target is operator.iadd or getattr(node.target, "__name__", "").endswith("_")


class Converter:
    """Turns nodes into drafts, in order.

    Parameters
    ----------
    root
        The traced module.
    input_shape
        Without batch.
    results
        By node name: shape with batch where the node yields a tensor, its value otherwise.
    where
        File, line and module of a node, for messages.
    scope
        Dotted path of the module that a node belongs to.
    """

    def __init__(
        self,
        root: nn.Module,
        input_shape: Shape,
        results: Mapping[str, Any],
        where: Callable[[fx.Node], str],
        scope: Callable[[fx.Node], str],
    ) -> None:
        self.root = root
        self.input_shape = input_shape
        self.results = results
        self.where = where
        self.scope = scope
        self.drafts: list[Draft] = []
        self.output = ""
        self._tensors: dict[fx.Node, str] = {}
        self._names = {"input"}
        self._functions: dict[Any, Callable[[fx.Node], str]] = {
            functional.relu: self._relu, functional.relu_: self._relu, torch.relu: self._relu, torch.relu_: self._relu,
            functional.max_pool2d: self._max_pool, torch.max_pool2d: self._max_pool,
            functional.avg_pool2d: self._avg_pool,
            functional.adaptive_avg_pool2d: self._adaptive,
            torch.mean: self._mean,
            operator.add: self._add, operator.iadd: self._add, torch.add: self._add,
            torch.cat: self._cat, torch.concat: self._cat, torch.concatenate: self._cat,
            torch.flatten: self._reshape, torch.reshape: self._reshape,
            functional.dropout: self._dropout, functional.dropout2d: self._dropout,
        }  # fmt: skip
        self._methods: dict[str, Callable[[fx.Node], str]] = {
            "relu": self._relu, "relu_": self._relu, "mean": self._mean, "add": self._add, "add_": self._add,
            "flatten": self._reshape, "view": self._reshape, "reshape": self._reshape,
            "contiguous": self._same, "clone": self._same, "detach": self._same,
        }  # fmt: skip

    def convert(self, node: fx.Node) -> None:
        """Add what *node* computes; GraphError where it is not supported."""
        if node.op == "placeholder":
            if not self._tensors:  # further placeholders are arguments left at their defaults
                self._tensors[node] = "input"
            return
        if node.op == "output":
            self._set_output(node)
            return
        if node.op == "get_attr":
            return  # only supported modules may use parameters
        if not isinstance(self.results[node.name], TensorShape):
            return  # arithmetic on shapes: its value is known
        handler: Callable[[fx.Node], str] | None
        if node.op == "call_module":
            tensor = self._module(node, self.root.get_submodule(str(node.target)))
        else:
            handler = (
                self._methods.get(str(node.target)) if node.op == "call_method" else self._functions.get(node.target)
            )
            if handler is None:
                raise self._unsupported(node, getattr(node.target, "__name__", str(node.target)))
            tensor = handler(node)
        if is_in_place(node, self.root):
            before = self._tensor(node, node.all_input_nodes[0])
            self._tensors = {n: tensor if t == before else t for n, t in self._tensors.items()}
        self._tensors[node] = tensor

    def _module(self, node: fx.Node, module: nn.Module) -> str:
        if not is_supported_module(module):
            raise self._unsupported(node, type(module).__name__)
        match module:
            case nn.Conv2d():
                return self._conv(node, module)
            case nn.Linear():
                if len(self._in_shape(node)) != 1:
                    raise self._error(node, "Linear on more than (N, F)", cure="flatten first")
                return self._draft(node, OpKind.LINEAR, weight=module.weight, bias=module.bias)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return self._batch_norm(node, module)
            case nn.ReLU():
                return self._relu(node)
            case nn.MaxPool2d():
                if module.return_indices:
                    raise self._error(node, "MaxPool2d with return_indices")
                return self._pool(node, OpKind.MAX_POOL, module.kernel_size, module.stride, module.padding,
                                  module.dilation, module.ceil_mode)  # fmt: skip
            case nn.AvgPool2d():
                return self._average(node, module.kernel_size, module.stride, module.padding, module.ceil_mode,
                                     module.count_include_pad, module.divisor_override)  # fmt: skip
            case nn.AdaptiveAvgPool2d():
                return self._adaptive(node)
            case nn.Flatten():
                return self._reshape(node)
        return self._same(node)

    def _conv(self, node: fx.Node, module: nn.Conv2d) -> str:
        if len(self._in_shape(node)) != 3:
            raise self._error(node, "Conv2d on an input without (N, C, H, W)")
        if module.dilation != (1, 1):
            raise self._error(node, f"Conv2d with dilation {module.dilation}", cure="dilation 1 is supported")
        if module.padding_mode != "zeros":
            raise self._error(node, f"Conv2d with padding_mode {module.padding_mode!r}", cure="zeros are supported")
        kernel = _pair(module.kernel_size)
        if module.padding == "same" and not (kernel[0] % 2 and kernel[1] % 2):
            raise self._error(node, f"padding 'same' with the even kernel {kernel}: not the same on both sides",
                              cure="use an odd kernel or explicit padding")  # fmt: skip
        named = {"same": ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2), "valid": (0, 0)}
        padding = named[module.padding] if isinstance(module.padding, str) else _pair(module.padding)
        attrs: dict[str, tuple[int, int] | int] = {
            "kernel": kernel,
            "stride": _pair(module.stride),
            "padding": padding,
            "groups": module.groups,
        }
        return self._draft(node, OpKind.CONV2D, attrs, weight=module.weight, bias=module.bias)

    def _batch_norm(self, node: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d) -> str:
        if module.running_mean is None or module.running_var is None:
            raise self._error(node, "batch-norm without running statistics", cure="use track_running_stats=True")
        scale = (module.running_var.detach().double() + module.eps).rsqrt()
        if module.weight is not None:
            scale = scale * module.weight.detach().double()
        shift = -module.running_mean.detach().double() * scale
        if module.bias is not None:
            shift = shift + module.bias.detach().double()
        return self._draft(node, BATCH_NORM, weight=scale, bias=shift)

    def _relu(self, node: fx.Node) -> str:
        return self._draft(node, OpKind.RELU)

    def _max_pool(self, node: fx.Node) -> str:
        names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        given = self._arguments(node, names)
        return self._pool(node, OpKind.MAX_POOL, given["kernel_size"], given.get("stride"), given.get("padding", 0),
                          given.get("dilation", 1), given.get("ceil_mode", False))  # fmt: skip

    def _avg_pool(self, node: fx.Node) -> str:
        names = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        given = self._arguments(node, names)
        return self._average(node, given["kernel_size"], given.get("stride"), given.get("padding", 0),
                             given.get("ceil_mode", False), given.get("count_include_pad", True),
                             given.get("divisor_override"))  # fmt: skip

    def _average(
        self, node: fx.Node, kernel: Any, stride: Any, padding: Any, ceil: bool, include: bool, divisor: Any
    ) -> str:
        if divisor is not None:
            raise self._error(node, "average pooling with divisor_override")
        if not include and _pair(padding) != (0, 0):
            raise self._error(node, "average pooling with padding and count_include_pad=False",
                              cure="count_include_pad=True or no padding is supported")  # fmt: skip
        return self._pool(node, OpKind.AVG_POOL, kernel, stride, padding, 1, ceil)

    def _pool(
        self, node: fx.Node, kind: OpKind, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
    ) -> str:
        size, pad = _pair(kernel), _pair(padding)
        step = size if stride is None or stride == [] else _pair(stride)
        if _pair(dilation) != (1, 1):
            raise self._error(node, f"pooling with dilation {dilation}", cure="dilation 1 is supported")
        floor = tuple(
            (n + 2 * p - k) // s + 1 for n, k, s, p in zip(self._in_shape(node)[1:], size, step, pad, strict=True)
        )
        if ceil and floor != self._shape(node)[1:]:
            raise self._error(node, "pooling with ceil_mode=True that makes a part window",
                              cure="use ceil_mode=False or pad the input so that windows fit")  # fmt: skip
        return self._draft(node, kind, {"kernel": size, "stride": step, "padding": pad})

    def _adaptive(self, node: fx.Node) -> str:
        (_, height, width), (_, rows, columns) = self._in_shape(node), self._shape(node)
        if (rows, columns) == (height, width):
            return self._same(node)
        if (rows, columns) == (1, 1):
            return self._draft(node, OpKind.GLOBAL_AVG_POOL)
        if height % rows or width % columns:
            raise self._error(node, f"adaptive pooling of {height}x{width} to {rows}x{columns}: windows overlap",
                              cure="choose an output size that divides the input's")  # fmt: skip
        kernel = (height // rows, width // columns)
        return self._draft(node, OpKind.AVG_POOL, {"kernel": kernel, "stride": kernel, "padding": (0, 0)})

    def _mean(self, node: fx.Node) -> str:
        given = self._arguments(node, ("input", "dim", "keepdim"))
        dim = given.get("dim")
        shape = self._in_shape(node)
        if len(shape) != 3 or not isinstance(dim, (tuple, list)) or sorted(d % 4 for d in dim) != [2, 3]:
            raise self._error(node, f"mean over {dim}", cure="mean over (2, 3) is supported")
        pooled = self._draft(node, OpKind.GLOBAL_AVG_POOL, out_shape=(shape[0], 1, 1))
        if given.get("keepdim", False):
            return pooled
        return self._draft(node, OpKind.FLATTEN, inputs=[pooled], in_shapes=[(shape[0], 1, 1)])

    def _add(self, node: fx.Node) -> str:
        given = self._arguments(node, ("input", "other", "out"))
        operands = [arg for arg in node.args[:2] if isinstance(arg, fx.Node)]
        shapes = [self.results[arg.name] for arg in operands]
        if len(operands) != 2 or shapes[0] != shapes[1] or not isinstance(shapes[0], TensorShape):
            raise self._error(node, "+ of other than two tensors of the same shape",
                              cure="constants and broadcasting are not supported")  # fmt: skip
        if given.get("alpha", 1) != 1:
            raise self._error(node, f"add with alpha={given['alpha']}")
        return self._draft(node, OpKind.ADD, inputs=[self._tensor(node, arg) for arg in operands])

    def _cat(self, node: fx.Node) -> str:
        given = self._arguments(node, ("tensors", "dim"))
        dim = given.get("dim", given.get("axis", 0))
        parts = node.all_input_nodes if not node.args else list(node.args[0])  # type: ignore[arg-type]
        rank = len(self.results[node.name])
        if dim % rank != 1:
            raise self._error(node, f"cat over dimension {dim}", cure="cat over channels, dim=1, is supported")
        if len(parts) == 1:
            return self._tensor(node, parts[0])
        return self._draft(node, OpKind.CONCAT, inputs=[self._tensor(node, part) for part in parts])

    def _reshape(self, node: fx.Node) -> str:
        before, after = self._in_shape(node), self._shape(node)
        if self.results[node.name][0] == self.results[node.all_input_nodes[0].name][0]:
            if before == after:
                return self._same(node)
            if after == (int(np.prod(before)),):
                return self._draft(node, OpKind.FLATTEN)
        raise self._error(node, f"a reshape from (N, {before}) to {tuple(self.results[node.name])}",
                          cure="flattening to (N, -1) is supported")  # fmt: skip

    def _dropout(self, node: fx.Node) -> str:
        given = self._arguments(node, ("input", "p", "training", "inplace"))
        if given.get("training", True) and given.get("p", 0.5) > 0:
            raise self._error(node, "dropout that stays on in evaluation", cure="pass training=self.training")
        return self._same(node)

    def _same(self, node: fx.Node) -> str:
        return self._tensor(node, node.all_input_nodes[0])

    def _set_output(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node):
            raise self._error(node, "the network does not return one tensor", cure="return the logits only")
        self.output = self._tensor(node, result)
        if self.output == "input":
            raise self._error(node, "the network does nothing")

    def _tensor(self, node: fx.Node, source: Any) -> str:
        if source not in self._tensors:
            raise self._error(node, f"{source} is not a tensor that the network computes")
        return self._tensors[source]

    def _arguments(self, node: fx.Node, names: tuple[str, ...]) -> dict[str, Any]:
        """Arguments by name; those computed from shapes by their values."""
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        return {name: fx.node.map_arg(value, lambda n: self.results[n.name]) for name, value in given.items()}

    def _in_shape(self, node: fx.Node) -> Shape:
        return tuple(self.results[node.all_input_nodes[0].name][1:])

    def _shape(self, node: fx.Node) -> Shape:
        return tuple(self.results[node.name][1:])

    def _draft(
        self, node: fx.Node, kind: OpKind | str, attrs: dict[str, tuple[int, int] | int] | None = None, *,
        weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, inputs: list[str] | None = None,
        in_shapes: list[Shape] | None = None, out_shape: Shape | None = None,
    ) -> str:  # fmt: skip
        tensors = [self._tensor(node, node.all_input_nodes[0])] if inputs is None else inputs
        shapes = {draft.name: draft.out_shape for draft in self.drafts} | {"input": self.input_shape}
        scope = self.scope(node)
        name = self._name(scope if node.op == "call_module" else f"{scope}.{kind}")
        self.drafts.append(
            Draft(
                name,
                kind,
                tensors,
                in_shapes or [shapes[t] for t in tensors],
                out_shape or self._shape(node),
                scope,
                self.where(node),
                attrs or {},
                _array(weight),
                _array(bias),
            )
        )
        return name

    def _name(self, path: str) -> str:
        base = re.sub(r"_+", "_", re.sub(r"\W", "_", path, flags=re.ASCII)).strip("_")
        if not base or base[0].isdigit() or base in _C_KEYWORDS:
            base = f"layer_{base}"
        name, count = base, 0
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    def _error(self, node: fx.Node, what: str, cure: str = "") -> GraphError:
        return GraphError(f"{what} is not supported", where=self.where(node), cure=cure)

    def _unsupported(self, node: fx.Node, operation: str) -> GraphError:
        key = operation.lower().replace("_", "")
        cure = _CURES.get(key) or ("use ReLU" if key in _ACTIVATIONS else _SUPPORTED_TEXT)
        return self._error(node, operation, cure)


def _array(values: torch.Tensor | None) -> NDArray[np.float32] | None:
    return None if values is None else np.array(values.detach().cpu().numpy(), dtype=np.float32)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
