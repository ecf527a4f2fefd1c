"""How large an ONNX model's tensors are, and would become: bounded before any library allocates them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.errors import UserFacingError
from models.base import broken
from models.onnx.words import TITLE, not_taken, shown

LARGEST_TENSOR = 2**28  # numbers: 1 GiB in single precision
_SMALL = 2**20

# Which input of an operator says how large its output becomes.
_SIZES = {
    "ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1, "OneHot": 1, "CenterCropPad": 1, "AffineGrid": 1,
    "Upsample": 1, "MaxUnpool": 2, "Resize": 3, "BlackmanWindow": 0, "HannWindow": 0, "HammingWindow": 0,
}  # fmt: skip
_AT_LEAST_ONE = (
    "strides", "dilations", "kernel_shape", "group", "blocksize", "hidden_size", "num_groups", "num_heads",
    "q_num_heads", "kv_num_heads", "block_size", "num_outputs",
)  # fmt: skip
_EXTENTS = (*_AT_LEAST_ONE, "pads", "output_padding", "output_shape", "scales", "shape", "height_scale", "width_scale")
_TYPED = {
    "FLOAT": "float_data", "DOUBLE": "double_data", "INT64": "int64_data", "STRING": "string_data",
    "UINT32": "uint64_data", "UINT64": "uint64_data",
    **dict.fromkeys(("INT32", "INT16", "INT8", "UINT16", "UINT8", "BOOL", "FLOAT16", "BFLOAT16"), "int32_data"),
}  # fmt: skip
_BYTES = {"DOUBLE": 8, "INT64": 8, "UINT64": 8, "FLOAT": 4, "INT32": 4, "UINT32": 4, "BOOL": 1, "INT8": 1, "UINT8": 1}


def constant_values(graph: Any) -> dict[str, np.ndarray]:
    """The values that are written in the file, by the name of their tensor, large ones (weights) left out."""
    from onnx import numpy_helper

    small = [tensor for tensor in graph.initializer if is_small(tensor)]
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in small}
    for node in graph.node:
        for given in node.attribute if node.op_type == "Constant" else ():
            kinds = {"value": given.t, "value_float": given.f, "value_int": given.i, "value_string": given.s}
            lists = {"value_floats": given.floats, "value_ints": given.ints, "value_strings": given.strings}
            if given.name == "value" and given.HasField("t"):
                found[node.output[0]] = numpy_helper.to_array(given.t)
            elif given.name in kinds or given.name in lists:
                found[node.output[0]] = np.array(kinds[given.name] if given.name in kinds else list(lists[given.name]))
    return found


def is_small(tensor: Any) -> bool:
    """Whether a tensor may say something about the model, and is no weights."""
    return math.prod(tensor.dims) <= _SMALL


def check_tensor(tensor: Any) -> None:
    """Refuses a tensor whose bytes lie elsewhere, or are not as many as its sizes say."""
    from onnx import TensorProto

    name = shown(tensor.name) or "a constant"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise not_taken(
            f"The numbers of {name} lie in another file",
            "Save it as one file:",
            "import onnx\nonnx.save(onnx.load('model.onnx'), 'one_file.onnx', save_as_external_data=False)",
        )
    if tensor.HasField("segment"):
        raise broken(TITLE, f"{name} is stored in pieces")
    kind = _type_name(tensor.data_type)
    if kind not in _TYPED:
        raise not_taken(f"{name} holds numbers of the type {kind.lower()}", "Export it in single precision")
    count = _count(tensor.dims, name)
    if tensor.raw_data or kind == "STRING" or not len(getattr(tensor, _TYPED[kind])):
        held = len(tensor.string_data) if kind == "STRING" else len(tensor.raw_data) / _BYTES.get(kind, 2)
    else:
        held = len(getattr(tensor, _TYPED[kind]))
    if held != count:
        raise broken(TITLE, f"{name} should hold {count:,} numbers and holds {held:,.0f}")


def _type_name(number: int) -> str:
    from onnx import TensorProto

    return TensorProto.DataType.Name(number) if number in TensorProto.DataType.values() else "unknown"


def _count(sizes: Iterable[int], name: str) -> int:
    """The product of `sizes`, refused where one is negative or the tensor would be too large."""
    sizes = list(sizes)
    count = math.prod(sizes)
    if len(sizes) > 64 or any(size < 0 for size in sizes):
        raise broken(TITLE, f"The sizes of {name} make no sense")
    if count > LARGEST_TENSOR:
        raise _too_large(name, count)
    return count


def _too_large(name: str, count: float) -> UserFacingError:
    return not_taken(
        f"{name[:1].upper()}{name[1:]} would be {count:,.0f} numbers, and {LARGEST_TENSOR:,} is the most",
        "Bring a smaller model",
    )


def check_types(graph: Any) -> None:
    for each in (*graph.input, *graph.output, *graph.value_info):
        _count(_sizes(each), shown(each.name))


def _sizes(value: Any) -> list[int]:
    """The sizes of a tensor that the file states, those that it leaves open left out."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return []
    return [size.dim_value for size in value.type.tensor_type.shape.dim if size.WhichOneof("value") == "dim_value"]


def check_extents(node: Any, constants: dict[str, np.ndarray]) -> None:
    """Refuses sizes written in the file that would take too much memory, or divide by zero."""
    for given in node.attribute:
        numbers = [*given.ints, *given.floats, *([given.i] if given.type == 2 else [])]
        if given.name in _AT_LEAST_ONE and any(number < 1 for number in numbers):
            raise broken(TITLE, f"Its operator {shown(node.op_type)} has {given.name} below 1")
        if given.name in _EXTENTS:
            _bound(node, numbers)
    at = _SIZES.get(node.op_type, -1)
    if 0 <= at < len(node.input) and node.input[at] in constants:
        _bound(node, _numbers(constants[node.input[at]]))
    if node.op_type == "Resize" and len(node.input) > 2 and node.input[2] in constants:
        _bound(node, _numbers(constants[node.input[2]]))
    if node.op_type == "Pad" and len(node.input) > 1 and node.input[1] in constants:
        _bound(node, [number + 1 for number in _numbers(constants[node.input[1]])])
    if node.op_type == "Range" and all(name in constants for name in node.input):
        start, stop, step = (float(constants[name].reshape(-1)[0]) for name in node.input)
        if not step or not math.isfinite((stop - start) / step):
            raise broken(TITLE, "Its operator Range never ends")
        _bound(node, [(stop - start) / step])


def _numbers(value: np.ndarray) -> list[float]:
    if not np.issubdtype(value.dtype, np.number):
        raise broken(TITLE, "A size of one of its operators is no number")
    return np.abs(value.astype(np.float64)).reshape(-1).tolist()


def _bound(node: Any, numbers: Sequence[float]) -> None:
    count = math.prod(max(abs(float(number)), 1.0) for number in numbers)
    if not count <= LARGEST_TENSOR:
        raise _too_large(f"the result of its operator {shown(node.op_type)}", count)
