"""What an operator sees of its node, and the table of the operators that are taken.

To add an operator, write in one of the files of `operators` a function that takes a `Node` and returns
what computes it: a `torch.nn.Module` or any other callable that takes the node's input tensors in
order (None for an optional one that is left out) and gives its output, or a tuple of them.

    @operator("ThresholdedRelu")
    def thresholded_relu(node: Node) -> Step:
        return nn.Threshold(node["alpha"], 0.0)

Where a later version of the operator means something else, write a second function with
`since=` that version. What a function cannot do it says with `refuse(node, "with its indices")`.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch

from core.errors import UserFacingError

Step = Callable[..., Any]
Builder = Callable[["Node"], Step]

MOST_ELEMENTS = 2**28  # of one tensor whose size is a number in the graph: 1 GiB of float32

DTYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.DOUBLE: torch.float64,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.INT16: torch.int16,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.BOOL: torch.bool,
}

_BUILDERS: dict[str, dict[int, Builder]] = {}


class NotTakenError(Exception):
    """Something in a graph that is not taken, in a few words."""


@dataclass(frozen=True)
class Node:
    """One node: its attributes, with the defaults of its version where the file leaves them out."""

    operator: str
    name: str
    version: int
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __getitem__(self, attribute: str) -> Any:
        """The value of an attribute that must be there."""
        if attribute not in self.attributes:
            raise NotTakenError(f"{self.operator} without {attribute}")
        return self.attributes[attribute]

    def get(self, attribute: str, default: Any = None) -> Any:
        """The value of an attribute, or `default` where it has none."""
        return self.attributes.get(attribute, default)

    def one_of(self, attribute: str, values: Collection[str]) -> str:
        """The value of an attribute that must be one of `values`."""
        if self[attribute] not in values:
            raise refuse(self, f"with {attribute} {self[attribute]}")
        return self[attribute]

    def has_input(self, position: int) -> bool:
        """Whether the optional input at `position` is given."""
        return position < len(self.inputs) and bool(self.inputs[position])

    def has_output(self, position: int) -> bool:
        """Whether the optional output at `position` is wanted."""
        return position < len(self.outputs) and bool(self.outputs[position])


def operator(name: str, since: int = 1) -> Callable[[Builder], Builder]:
    """Registers the function below as the operator `name`, from its version `since` on."""

    def register(builder: Builder) -> Builder:
        _BUILDERS.setdefault(name, {})[since] = builder
        return builder

    return register


def plain(functions: Mapping[str, Step]) -> None:
    """Registers operators that take no attributes and that one function of torch computes."""
    for name, function in functions.items():
        operator(name)(lambda node, function=function: function)


def builder(name: str, version: int) -> Builder | None:
    """The function for an operator of the given version; None where there is none."""
    versions = [since for since in _BUILDERS.get(name, {}) if since <= version]
    return _BUILDERS[name][max(versions)] if versions else None


def refuse(node: Node, what: str) -> NotTakenError:
    """The error for a form of an operator that is not taken: "MaxPool" and "with its indices"."""
    return NotTakenError(f"{node.operator} {what}")


def dtype(element: int) -> torch.dtype:
    """torch's name for an element type of ONNX."""
    if element not in DTYPES:
        names = onnx.TensorProto.DataType
        raise NotTakenError(f"tensors of type {names.Name(element) if element in names.values() else element}")
    return DTYPES[element]


def tensor(proto: onnx.TensorProto) -> torch.Tensor:
    """The tensor that is stored in `proto`, copied."""
    kind = dtype(proto.data_type)
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        raise NotTakenError("weights kept in another file")
    try:
        array = np.array(onnx.numpy_helper.to_array(proto))  # a copy: the stored bytes cannot be written to
    except (ValueError, TypeError) as error:
        raise NotTakenError(f"the tensor {proto.name!r}, whose size is not what it says") from error
    if kind == torch.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(kind)
    return torch.from_numpy(array)


def bounded(shape: Sequence[int]) -> list[int]:
    """`shape`, or UserFacingError where a tensor of it would be too large."""
    if math.prod(shape) > MOST_ELEMENTS:
        raise UserFacingError(
            "The ONNX network cannot be run",
            f"It asks for a tensor of {' x '.join(map(str, shape))} numbers, more than {MOST_ELEMENTS:,}",
            "Check the sizes in the graph, or give the network smaller inputs",
        )
    return list(shape)
