"""Image networks of other libraries for inference: batch norms folded, ReLUs and sums computed by the convolutions.

    conv - norm - relu                  -> one operation
    conv - norm - (+ shortcut) - relu   -> one operation, which overwrites the shortcut

A network is traced into a graph of its operations first. Where that fails, as with the control flow of some
transformers, it stays as it is; and norms are all that is folded if the graph does not give the same numbers.
"""

from __future__ import annotations

import copy
import logging
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from e2espot.core.errors import first_line
from e2espot.models.streaming.fused_conv import Act, FusedConv
from e2espot.models.streaming.native_layers import NativeGroupedConv

_LOG = logging.getLogger(__name__)

_TOLERANCE = 1e-3
"""Largest difference that the order of sums may make, as a fraction of the largest value."""
_FRESH = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.BatchNorm2d)
"""Modules whose output nothing else refers to, so that it may be overwritten after its last use."""
_NOTHING = (nn.Identity, nn.Dropout)


class FusedConvLayer(nn.Module):
    """A convolution with activation, and with an addition before it if it is called with a second input.

    The fused form is made on first use, since it belongs to a device and a number format.
    """

    def __init__(self, conv: nn.Conv2d, act: Act) -> None:
        super().__init__()
        self.conv, self._act = conv, act
        self._fused: FusedConv | None = None
        self._grouped: NativeGroupedConv | None = None
        self.is_plain = False
        """Whether the operations of torch are called one by one, for which no weights are packed."""

    def forward(self, x_NCHW: Tensor, other_NCHW: Tensor | None = None) -> Tensor:
        """``act(conv(x))`` in new memory, or ``act(conv(x) + other)`` in that of ``other``."""
        if self._fused is None:
            self._fused = FusedConv(self.conv, self._act, fused=False if self.is_plain else None)
            if not self.is_plain and self.conv.dilation == (1, 1):
                self._grouped = NativeGroupedConv.build(self.conv, self._act, self.conv.weight.dtype)
        if self._grouped is not None and other_NCHW is None:
            return self._grouped(x_NCHW)[0]
        return self._fused(x_NCHW) if other_NCHW is None else self._fused.add_to(other_NCHW, x_NCHW)

    def _apply(self, *args: Any, **kwargs: Any) -> FusedConvLayer:
        self._fused = self._grouped = None
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call, no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the fused form, whose layout is this processor's."""
        return {**self.__dict__, "_fused": None, "_grouped": None}


def fused_network(network: nn.Module, side: int) -> nn.Module:
    """The same network in fewer operations, or itself where that is not possible.

    Args:
        network: In evaluation mode, on the CPU, in float32. Its weights are used, not copied: large networks would not
            fit into memory several times. So it is not to be called afterwards.
        side: Height and width of its pictures.
    """
    picture = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    picture = picture.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(picture)
    try:
        traced = _traced(network, picture)
    except Exception as error:  # tracing other people's code can raise anything
        _LOG.debug("not traced: %s", first_line(error))
        return network
    _empty(network, traced)
    folded: fx.GraphModule = fuse(traced, inplace=True, no_trace=True)  # type: ignore[assignment]
    with torch.inference_mode():
        graph = fx.GraphModule(folded, copy.deepcopy(folded.graph))
        _fuse(graph)
        layers = [layer for layer in graph.modules() if isinstance(layer, FusedConvLayer)]
        for layer in layers:
            layer.is_plain = True
        got = graph(picture)
        for layer in layers:
            layer.is_plain, layer._fused = False, None
    if got.shape != expected.shape or (got - expected).abs().max() > _TOLERANCE * expected.abs().max():
        _LOG.debug("not fused: the graph gives other numbers")
        return folded
    return graph


def _traced(network: nn.Module, picture: Tensor) -> fx.GraphModule:
    """The graph of a network, with the shape of what each of its operations gives."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is not nn.BatchNorm2d and isinstance(layer, nn.BatchNorm2d):
                setattr(parent, name, _split_norm(layer))
    traced = fx.symbolic_trace(network)
    with torch.inference_mode():
        ShapeProp(traced).propagate(picture)
    return traced


def _empty(network: nn.Module, traced: fx.GraphModule) -> None:
    """Leave all layers to the graph alone, so that each one's memory is given back when it is folded."""
    in_graph = set(traced.modules())
    for module in list(network.modules()):
        if module not in in_graph:
            module._modules.clear()


def _split_norm(layer: Any) -> nn.Module:
    """A norm with an activation of its own, as timm has them, as two modules."""
    norm = nn.BatchNorm2d(layer.num_features, eps=layer.eps, affine=layer.affine)
    norm.load_state_dict({name: value for name, value in layer.state_dict().items() if "." not in name})
    return nn.Sequential(norm.eval(), layer.act)


def _fuse(graph: fx.GraphModule) -> None:
    """Replace convolutions, and what follows them, in place."""
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        if node.op == "call_module" and isinstance(modules[node.target], _NOTHING):
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    order = {node: number for number, node in enumerate(graph.graph.nodes)}
    for number, node in enumerate(list(graph.graph.nodes)):
        if node.op != "call_module" or type(modules[node.target]) is not nn.Conv2d:
            continue
        conv: nn.Conv2d = modules[node.target]  # type: ignore[assignment]
        if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
            continue
        last, other = node, None
        added = _sole_user(node)
        if added is not None and _may_overwrite(added, node, order, modules):
            last, other = added, next(argument for argument in added.args if argument is not node)
        relu = _sole_user(last)
        is_activated = relu is not None and _is_relu(relu, modules)
        last = relu if is_activated and relu is not None else last
        name = f"fused{number}"
        graph.add_module(name, FusedConvLayer(conv, "relu" if is_activated else "none"))
        modules[name] = graph.get_submodule(name)
        with graph.graph.inserting_after(last):
            inputs = (node.args[0],) if other is None else (node.args[0], other)
            new = graph.graph.call_module(name, inputs)
        new.meta, order[new] = last.meta, order[last]
        last.replace_all_uses_with(new)
        for old in dict.fromkeys((last, added if other is not None else last, node)):
            graph.graph.erase_node(old)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _sole_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[str(node.target)]) is nn.ReLU
    return (node.op == "call_function" and node.target in (functional.relu, torch.relu)) or (
        node.op == "call_method" and node.target in ("relu", "relu_")
    )


def _may_overwrite(added: fx.Node, conv: fx.Node, order: dict[fx.Node, int], modules: dict[str, nn.Module]) -> bool:
    """Whether ``added`` is the sum of the convolution and of something as large that is not used afterwards."""
    is_sum = added.op == "call_function" and added.target in (operator.add, operator.iadd, torch.add)
    if not is_sum or len(added.args) != 2 or added.kwargs or not all(isinstance(a, fx.Node) for a in added.args):
        return False
    others = [argument for argument in added.args if argument is not conv]
    # The convolution moves to the position of the sum: its input must not change until then.
    if len(others) != 1 or not isinstance(conv.args[0], fx.Node) or len(conv.args[0].users) != 1:
        return False
    other: Any = others[0]
    is_fresh = other.op == "call_module" and isinstance(modules[other.target], (FusedConvLayer, nn.Conv2d, *_FRESH))
    shapes = [node.meta["tensor_meta"].shape for node in (other, conv)]
    return is_fresh and shapes[0] == shapes[1] and all(order[user] <= order[added] for user in other.users)
