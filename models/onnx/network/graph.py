"""From a graph to a module: each node becomes a step, and the steps run in the order of the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import nn

from core.errors import UserFacingError
from models.onnx.network.operators import builder
from models.onnx.network.prepare import expanded, opset, schema
from models.onnx.network.registry import Node, NotTakenError, Step, dtype, tensor


@dataclass(frozen=True)
class Plan:
    """A graph taken apart: its weights, its steps, and what of it is not taken."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, torch.Tensor]
    steps: tuple[tuple[Node, Step], ...]
    refusals: tuple[str, ...]


class Network(nn.Module):
    """A graph as a module. Weights are buffers; steps that are modules are its children."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._inputs = plan.inputs
        self._outputs = plan.outputs
        self._steps = plan.steps
        self._constants = {}
        read = {name for node, _ in plan.steps for name in node.inputs} | set(plan.outputs)
        for number, (name, value) in enumerate(plan.constants.items()):
            if name in read:
                self._constants[name] = f"constant{number}"
                self.register_buffer(f"constant{number}", value)
        for number, (node, step) in enumerate(plan.steps):
            if isinstance(step, nn.Module):
                self.add_module(f"{node.operator}{number}", step)
        self._finished = _last_uses(plan)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The graph's outputs for its inputs, each a tensor as the graph declares it."""
        if len(inputs) != len(self._inputs):
            raise UserFacingError(
                "The ONNX network cannot be run",
                f"It has {len(self._inputs)} inputs and was given {len(inputs)}",
                "Give it one tensor for each of its inputs",
            )
        values = {name: self.get_buffer(buffer) for name, buffer in self._constants.items()}
        values.update(zip(self._inputs, inputs, strict=True))
        for (node, step), finished in zip(self._steps, self._finished, strict=True):
            found = _run(node, step, [values[name] if name else None for name in node.inputs])
            values.update(zip(node.outputs, found, strict=False))
            for name in finished:
                values.pop(name, None)
        return tuple(values[name] for name in self._outputs)


def build(model: onnx.ModelProto) -> Network:
    """The module of `model`. Raises UserFacingError for one that is not taken."""
    taken = plan(model)
    if taken.refusals:
        raise UserFacingError(
            "The ONNX network has no gradients",
            f"Its graph holds what the importer does not take: {', '.join(taken.refusals)}",
            "Use it as a black box, or export it without them",
        )
    return Network(taken).eval()


def plan(model: onnx.ModelProto) -> Plan:
    """`model` taken apart. Raises UserFacingError for a graph whose nodes do not fit together."""
    try:
        model = expanded(model)
    except NotTakenError as error:
        return Plan((), (), {}, (), (str(error),))
    refusals: list[str] = []
    weights = _weights(model.graph, refusals)
    inputs = tuple(each.name for each in model.graph.input if each.name not in weights)
    refusals += [_input_refusal(each) for each in model.graph.input if each.name in inputs]
    nodes, steps, constants = [], [], dict(weights)
    for proto in model.graph.node:
        try:
            node = _node(proto, opset(model))
            nodes.append(node)
            if node.operator == "Constant":
                constants[node.outputs[0]] = _constant(node)
            else:
                steps.append((node, builder(node.operator, node.version)(node)))
        except NotTakenError as error:
            refusals.append(str(error))
    found = tuple(dict.fromkeys(each for each in refusals if each))
    outputs = tuple(each.name for each in model.graph.output)
    if not found:
        _check_order({*inputs, *weights}, nodes, outputs)
    return Plan(inputs, outputs, constants, tuple(steps), found)


def _weights(graph: onnx.GraphProto, refusals: list[str]) -> dict[str, torch.Tensor]:
    if graph.sparse_initializer:
        refusals.append("sparse weights")
    weights = {}
    for each in graph.initializer:
        try:
            weights[each.name] = tensor(each)
        except NotTakenError as error:
            refusals.append(str(error))
    return weights


def _input_refusal(value: onnx.ValueInfoProto) -> str:
    """Why an input is not taken; empty where it is."""
    if not value.type.HasField("tensor_type"):
        return "inputs that are not tensors"
    try:
        dtype(value.type.tensor_type.elem_type)
    except NotTakenError as error:
        return str(error)
    return ""


def _node(proto: onnx.NodeProto, version: int) -> Node:
    known = schema(proto, version)
    if known is None or (proto.op_type != "Constant" and builder(proto.op_type, known.since_version) is None):
        raise NotTakenError(".".join(filter(None, (proto.domain, proto.op_type))))
    attributes = {
        name: onnx.helper.get_attribute_value(each.default_value)
        for name, each in known.attributes.items()
        if each.default_value.type != onnx.AttributeProto.UNDEFINED
    }
    for each in proto.attribute:
        kind = onnx.AttributeProto.AttributeType.Name(each.type)
        if each.name not in known.attributes or each.ref_attr_name or known.attributes[each.name].type.name != kind:
            raise NotTakenError(f"{proto.op_type} with such a {each.name}")
        attributes[each.name] = onnx.helper.get_attribute_value(each)
    return Node(
        proto.op_type,
        proto.name,
        known.since_version,
        {name: _decoded(value) for name, value in attributes.items()},
        tuple(proto.input),
        tuple(proto.output),
    )


def _decoded(value: Any) -> Any:
    """An attribute's value with its text as str and its tensor as torch's."""
    if isinstance(value, onnx.TensorProto):
        return tensor(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str | int | float):
        return value
    return [_decoded(each) for each in value] if isinstance(value, list | tuple) else value


def _constant(node: Node) -> torch.Tensor:
    for name, kind in (("value_float", torch.float32), ("value_floats", torch.float32), ("value_int", torch.int64)):
        if name in node.attributes:
            return torch.tensor(node[name], dtype=kind)
    if "value_ints" in node.attributes:
        return torch.tensor(list(node["value_ints"]), dtype=torch.int64)
    return node["value"]


def _check_order(known: set[str], nodes: list[Node], outputs: tuple[str, ...]) -> None:
    """Refuses a graph that uses a value before it is `known`, or that gives one name to two values."""
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in known:
                raise _broken(f"{node.operator} {node.name!r} reads {name!r}, which nothing before it gives")
        for name in filter(None, node.outputs):
            if name in known:
                raise _broken(f"Two things give the value {name!r}")
            known.add(name)
    for name in outputs:
        if name not in known:
            raise _broken(f"Nothing gives its output {name!r}")


def _broken(why: str) -> UserFacingError:
    return UserFacingError("The ONNX network cannot be opened", why, "Export the model again")


def _last_uses(plan: Plan) -> list[list[str]]:
    """For each step the values that no later one reads, so that their memory can go."""
    needed = set(plan.outputs)
    finished = []
    for node, _ in reversed(plan.steps):
        names = {*node.inputs, *node.outputs} - needed
        finished.append(sorted(names))
        needed |= names
    return finished[::-1]


def _run(node: Node, step: Step, inputs: list[torch.Tensor | None]) -> tuple[torch.Tensor, ...]:
    try:
        found = step(*inputs)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserFacingError(
            "The ONNX network cannot be run on these inputs",
            f"{node.operator} {node.name!r} failed: {reason}",
            "Check that the inputs have the shapes that the network was exported for",
        ) from error
    return found if isinstance(found, tuple) else (found,)
