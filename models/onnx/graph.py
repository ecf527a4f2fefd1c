"""Pieces of an ONNX graph: who makes a tensor, which columns of the rows it holds, the part that leads up to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from models.onnx.sizes import constant_values

SCORE = "assay_score"
# What changes neither the order nor the meaning of the numbers in a tensor.
PASSING = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout")


@dataclass(frozen=True)
class Graph:
    """A checked `onnx.ModelProto` and what is looked up in it again and again."""

    model: Any
    widths: dict[str, int] = field(default_factory=dict)

    @cached_property
    def makers(self) -> dict[str, Any]:
        """The operator that makes each tensor."""
        return {name: node for node in self.model.graph.node for name in node.output if name}

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        return constant_values(self.model.graph)

    @cached_property
    def inputs(self) -> list[Any]:
        """What has to be fed: the inputs that the file does not hold a value for."""
        stored = {tensor.name for tensor in self.model.graph.initializer}
        return [each for each in self.model.graph.input if each.name not in stored]

    def readers(self, name: str) -> list[Any]:
        """The operators that read a tensor."""
        return [node for node in self.model.graph.node if name in node.input]

    def passed(self, name: str) -> str:
        """The tensor that stands behind `name` once operators that only rename or reshape are taken away."""
        node = self.makers.get(name)
        while node is not None and node.op_type in PASSING:
            name = node.input[0]
            node = self.makers.get(name)
        return name

    def columns(self, name: str) -> list[int] | None:
        """The columns of a row, all inputs side by side, that a tensor (n, columns) holds; None for anything else."""
        starts = dict(zip(self.widths, np.cumsum([0, *self.widths.values()]).tolist(), strict=False))
        if name in starts:
            return list(range(starts[name], starts[name] + self.widths[name]))
        node = self.makers.get(name)
        if node is None:
            return None
        if node.op_type == "Identity" or _to_real(node):
            return self.columns(node.input[0])
        if node.op_type in ("Concat", "FeatureVectorizer"):
            parts = [self.columns(each) for each in node.input]
            sideways = node.op_type != "Concat" or attribute(node, "axis", 0) in (1, -1)
            return [at for part in parts for at in part] if sideways and None not in parts else None
        picks = node.op_type == "ArrayFeatureExtractor" or (
            node.op_type == "Gather" and attribute(node, "axis", 0) in (1, -1)
        )
        if picks and node.input[1] in self.constants:
            whole = self.columns(node.input[0])
            chosen = self.constants[node.input[1]].reshape(-1).astype(np.int64).tolist()
            return [whole[at] for at in chosen] if whole and all(0 <= at < len(whole) for at in chosen) else None
        return None

    def double(self, name: str) -> bool:
        """Whether a tensor that `columns` knows is of double precision."""
        node = self.makers.get(name)
        while node is not None:
            if _to_real(node):
                return attribute(node, "to", 0) == 11
            name = node.input[0]
            node = self.makers.get(name)
        return any(each.name == name and each.type.tensor_type.elem_type == 11 for each in self.inputs)

    def upto(self, name: str, before: Sequence[Any] = (), ml_version: int | None = None, kind: int = 1) -> Any:
        """A model of its own that gives the tensor `name`, as single precision unless `kind` says so, and nothing else.

        `before` are operators put at the end that make `name`; `ml_version` replaces that of ai.onnx.ml.
        """
        from onnx import ModelProto, helper

        last = helper.make_node("Cast", [name], [SCORE], to=kind)
        nodes = [*self.model.graph.node, *before, last]
        wanted = {SCORE}
        kept = []
        for node in reversed(nodes):
            if wanted & set(node.output) and not (before and node not in before and name in node.output):
                kept.append(node)
                wanted.update(node.input)
        made = ModelProto(ir_version=self.model.ir_version)
        made.graph.name = "assay"
        made.graph.node.extend(reversed(kept))
        made.graph.input.extend(self.inputs)
        made.graph.initializer.extend(each for each in self.model.graph.initializer if each.name in wanted)
        made.graph.output.append(helper.make_tensor_value_info(SCORE, kind, None))
        versions = {"": 15, **{_domain(each.domain): each.version for each in self.model.opset_import}}
        if ml_version:
            versions["ai.onnx.ml"] = ml_version
        made.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
        return made


def attribute(node: Any, name: str, default: Any) -> Any:
    """The value of an operator's attribute, `default` where the file leaves it out."""
    from onnx import helper

    for given in node.attribute:
        if given.name == name:
            return helper.get_attribute_value(given)
    return default


def with_any_batch(model: Any) -> Any:
    """The model for any number of rows, whatever number the file states."""
    from onnx import ModelProto

    made = ModelProto()
    made.CopyFrom(model)
    for each in made.graph.input:
        each.type.tensor_type.shape.dim[0].dim_param = "n"
    return made


def plain(model: Any) -> Any:
    """The model with scalers and linear models of ai.onnx.ml written in ordinary operators, which have gradients."""
    from onnx import ModelProto

    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    for node in model.graph.node:
        made.graph.node.extend(_plain(node))
    return made


def linear(node: Any, target: str) -> list[Any]:
    """Operators for the scores of a linear model, before anything is done to them."""
    coefficients = np.array(attribute(node, "coefficients", []), np.float32)
    intercepts = np.array(attribute(node, "intercepts", []), np.float32)
    rows = len(intercepts) or int(attribute(node, "targets", 1))
    weight = coefficients.reshape(rows, -1).T
    return [
        *_as_real(node.input[0], target),
        *_constant(f"{target}_weight", weight),
        *_constant(f"{target}_shift", intercepts if len(intercepts) else np.zeros(rows, np.float32)),
        _node("MatMul", [f"{target}_real", f"{target}_weight"], f"{target}_product"),
        _node("Add", [f"{target}_product", f"{target}_shift"], target),
    ]


def linear_width(node: Any) -> int:
    """How many columns a linear model reads."""
    rows = len(attribute(node, "intercepts", [])) or int(attribute(node, "targets", 1))
    return len(attribute(node, "coefficients", [])) // rows


def _plain(node: Any) -> list[Any]:
    made = node.output[0]
    if node.domain != "ai.onnx.ml":
        return [node]
    if node.op_type == "LinearRegressor" and attribute(node, "post_transform", b"NONE") == b"NONE":
        return linear(node, made)
    if node.op_type == "Scaler":
        offset = np.array(attribute(node, "offset", [0.0]), np.float32)
        scale = np.array(attribute(node, "scale", [1.0]), np.float32)
        return [
            *_as_real(node.input[0], made),
            *_constant(f"{made}_offset", offset),
            *_constant(f"{made}_scale", scale),
            _node("Sub", [f"{made}_real", f"{made}_offset"], f"{made}_moved"),
            _node("Mul", [f"{made}_moved", f"{made}_scale"], made),
        ]
    return [node]


def _as_real(source: str, target: str) -> list[Any]:
    return [_node("Cast", [source], f"{target}_real", to=1)]


def _constant(name: str, value: np.ndarray) -> list[Any]:
    from onnx import numpy_helper

    return [_node("Constant", [], name, value=numpy_helper.from_array(value, name))]


def _node(kind: str, sources: list[str], target: str, **given: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, sources, [target], **given)


def _to_real(node: Any) -> bool:
    """Whether an operator turns whole numbers or reals into reals of single or double precision."""
    return node.op_type == "Cast" and attribute(node, "to", 0) in (1, 11)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name
