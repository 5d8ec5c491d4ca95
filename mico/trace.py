"""From a torch module to a Graph: torch.fx tracing, shapes, and a check that both compute the same."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import fx, nn

from mico.errors import GraphError, UsageError
from mico.evaluate import evaluate
from mico.graph import Graph, Shape
from mico.trace_fold import fold
from mico.trace_ops import Converter, TensorShape, is_in_place, is_supported_module

__all__ = ["trace"]

_TRACING_ERRORS = (
    fx.proxy.TraceError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
_SKIPPED = tuple(str(Path(path).resolve()) for path in (Path(torch.__file__).parent, __file__))
_TOLERANCE = 1e-3


def trace(module: nn.Module, input_shape: Shape, name: str | None = None) -> Graph:
    """Trace *module* as it computes in evaluation mode.

    Batch-norm is folded into the convolution or linear layer before it, a ReLU into the layer that produces its input.
    Dropout and Identity vanish, and so does what does not reach the output. A module that is called twice becomes two
    layers with the same weights. In the end both are run on random inputs and must agree.

    Parameters
    ----------
    module
        The network; its mode and parameters are left as they are.
    input_shape
        Without batch, channel first: ``(C, H, W)`` or ``(F,)``.
    name
        Of the Graph; the class's name in lower case unless given.

    Raises
    ------
    GraphError
        Something is not supported: names the module, the operation and the line of the user's code.
    """
    shape = tuple(int(n) for n in input_shape)
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise UsageError(f"input_shape must be (C, H, W) or (F,), without batch, not {input_shape!r}")
    with _evaluation_mode(module):
        _refuse_hooks(module)
        tracer, graph = _symbolic(module)
        x = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0)) * 2 - 1
        parameter = next(module.parameters(), torch.empty(0))
        x = x.to(parameter.device, parameter.dtype)
        shapes = _Shapes(tracer, graph)
        with torch.no_grad():
            shapes.run(x.clone())
            expected = module(x.clone())
    converter = Converter(module, shape, shapes.results, tracer.where, tracer.path)
    for node in _needed(graph, module):
        converter.convert(node)
    result = Graph(name or type(module).__name__.lower(), shape, fold(converter.drafts, converter.output))
    _verify(result, x, expected, type(module).__name__)
    return result


class _Tracer(fx.Tracer):
    """Remembers for every node the line of the user's code and the module it belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, str] = {}
        self.open_modules: list[str] = []

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self.lines[node.name] = _user_line(sys._getframe())
        return node

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_supported_module(m) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self.open_modules.append(self.path_of_module(m))
        result = super().call_module(m, forward, args, kwargs)
        self.open_modules.pop()  # not reached after an error: the list then ends with the module at fault
        return result

    def path(self, node: fx.Node) -> str:
        """Dotted path of the module that *node* belongs to; empty for the network itself."""
        return self.node_name_to_scope.get(node.name, ("", None))[0]

    def where(self, node: fx.Node) -> str:
        """File, line, and module of *node*, for messages."""
        path, kind = self.node_name_to_scope.get(node.name, ("", None))
        kind = kind or type(self.root)
        module = f"module {path!r} ({kind.__name__})" if path else kind.__name__
        return f"{self.lines[node.name]}, {module}"


class _Shapes(fx.Interpreter):
    """Runs the traced graph once and keeps every node's shape, or its value where it is no tensor."""

    def __init__(self, tracer: _Tracer, graph: fx.Graph) -> None:
        super().__init__(fx.GraphModule(tracer.root, graph))
        self.extra_traceback = False
        self.tracer = tracer
        self.results: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except _TRACING_ERRORS as error:
            raise GraphError(f"{n.target} fails on this input: {_first_line(error)}", where=self.tracer.where(n),
                             cure="is the input shape right?") from error  # fmt: skip
        self.results[n.name] = TensorShape(result.shape) if isinstance(result, torch.Tensor) else result
        return result


def _symbolic(module: nn.Module) -> tuple[_Tracer, fx.Graph]:
    where = type(module).__name__
    parameters = list(inspect.signature(module.forward).parameters.values())
    inputs = [p for p in parameters if p.default is p.empty]
    if len(inputs) != 1 or inputs[0].kind in (inputs[0].VAR_POSITIONAL, inputs[0].VAR_KEYWORD, inputs[0].KEYWORD_ONLY):
        code = type(module).forward.__code__
        line = f"{code.co_filename}:{code.co_firstlineno}, {where}"
        raise GraphError(
            f"forward takes ({', '.join(map(str, parameters))}): one input tensor is supported",
            where=line,
            cure="wrap the module in one whose forward takes one tensor",
        )
    tracer = _Tracer()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    try:
        return tracer, tracer.trace(module, concrete_args=defaults or None)
    except _TRACING_ERRORS as error:
        path = tracer.open_modules[-1] if tracer.open_modules else ""
        line = _traceback_line(error.__traceback__)
        raise GraphError(
            f"cannot be traced: {_first_line(error)}",
            where=f"{line}, module {path!r}" if path else f"{line}, {where}",
            cure="forward must be a fixed sequence of tensor operations: no branch or loop on tensor values or shapes",
        ) from error


def _needed(graph: fx.Graph, module: nn.Module) -> list[fx.Node]:
    """Nodes that the output depends on, and in-place ones, whose effect fx does not see, with all they read."""
    needed: set[fx.Node] = set()
    todo = [node for node in graph.nodes if node.op == "output" or is_in_place(node, module)]
    while todo:
        node = todo.pop()
        if node not in needed:
            needed.add(node)
            todo.extend(node.all_input_nodes)
    return [node for node in graph.nodes if node in needed or node.op == "placeholder"]


def _verify(graph: Graph, x: torch.Tensor, expected: Any, where: str) -> None:
    actual = evaluate(graph, x.to("cpu", torch.float32))[graph.output]
    reference = expected.detach().to("cpu", torch.float32).reshape(actual.shape)
    worst = float((actual - reference).abs().max())
    limit = _TOLERANCE * max(1.0, float(reference.abs().max()))
    if not worst <= limit:  # also catches nan
        raise GraphError(
            f"the traced graph differs from the module by {worst:.3g} on random inputs",
            where=where,
            cure="weights that are not finite, in-place changes of a view, or outputs that are random",
        )


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _refuse_hooks(module: nn.Module) -> None:
    for path, part in module.named_modules():
        if part._forward_hooks or part._forward_pre_hooks:
            raise GraphError("has forward hooks, which tracing does not see", where=f"module {path!r}",
                             cure="remove them, for instance with torch.nn.utils.remove_weight_norm")  # fmt: skip


def _user_line(frame: FrameType | None) -> str:
    """The innermost line outside torch and this file."""
    while frame is not None and _is_skipped(frame.f_code.co_filename):
        frame = frame.f_back
    return "unknown line" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _traceback_line(traceback: TracebackType | None) -> str:
    found = "unknown line"
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not _is_skipped(file):
            found = f"{file}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


@lru_cache(maxsize=1024)
def _is_skipped(file: str) -> bool:
    return file.startswith("<") or str(Path(file).resolve()).startswith(_SKIPPED)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
