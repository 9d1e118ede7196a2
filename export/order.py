"""The order of a graph's nodes in its file, which settles what ONNX Runtime keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def shallow_first(model: ir.Model) -> None:
    """Sort a graph's nodes by their longest way from the inputs, in place; equals stay as they lie.

    ONNX Runtime goes back from the outputs and works out first whichever input of a node stands
    later in the file. So at a join the long way, the picture's, is done before the short one, the
    noise level's, which then does not wait in memory: a step of LTX-2B on 1,408 tokens held the
    modulations of all 28 blocks, 2.1 GiB, and 0.5 in this order.
    """
    graph = model.graph
    depths: dict[ir.Value, int] = {}
    ranked: list[tuple[int, int, ir.Node]] = []
    for number, node in enumerate(graph):
        depth = 1 + max((depths.get(value, 0) for value in _needed(node)), default=0)
        ranked.append((depth, number, node))
        depths.update(dict.fromkeys(node.outputs, depth))
    ranked.sort(key=lambda row: row[:2])
    nodes = [node for _, _, node in ranked]
    graph.remove(nodes)
    graph.extend(nodes)


def _needed(node: ir.Node) -> Iterator[ir.Value]:
    """The values a node reads, those that its subgraphs take from outside among them."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph().all_nodes():
                yield from (value for value in inner.inputs if value is not None)
