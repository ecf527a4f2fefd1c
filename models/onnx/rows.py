"""How rows as Assay has them become the inputs of an ONNX graph: which columns, which layout, which names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.facts import Input
from core.nouns import Feature, Kind
from models.base import broken
from models.onnx.graph import Graph, attribute
from models.onnx.words import TITLE, not_taken, shown

WIDEST = 20_000  # columns of a table
_BATCH = 1024  # rows, and numbers, that are asked at once at most
_NUMBERS = 2**22
_SEED = 7
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("FLOAT", "DOUBLE", "FLOAT16"), "real"),
    **dict.fromkeys(("INT64", "INT32", "INT16", "INT8", "UINT8", "UINT16", "UINT32", "UINT64"), "integer"),
    "BOOL": "boolean",
    "STRING": "category",
}
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Port:
    """One input of the graph: its sizes behind the number of rows, 0 where they are open."""

    name: str
    kind: Kind
    dtype: Any
    sizes: tuple[int, ...]

    @property
    def width(self) -> int:
        return math.prod(self.sizes)


@dataclass(frozen=True)
class Intake:
    """All inputs of a graph. `shape` is one row as Assay has it, `batch` the number of rows that the file insists on.

    `layouts` are how an image may lie in its input, the likelier first, `divide` the number that pixels are
    divided by, None where the file does not tell. `categories` has an entry for each column of a table.
    """

    ports: tuple[Port, ...]
    shape: tuple[int, ...]
    batch: int | None
    layouts: tuple[str, ...] = ()
    divide: float | None = None
    categories: tuple[tuple[str, ...], ...] = ()
    note: str = ""

    @property
    def image(self) -> bool:
        return len(self.shape) == 3

    @property
    def real(self) -> bool:
        """Whether every input is a real number, so that gradients mean something."""
        return all(port.kind == "real" for port in self.ports)

    @property
    def step(self) -> int:
        """How many rows are asked at once."""
        return self.batch or min(max(_NUMBERS // max(math.prod(self.shape), 1), 1), _BATCH)

    def inputs(self) -> tuple[Input, ...]:
        """The columns of a table; one of several inputs has its name."""
        if self.image:
            return ()
        named = len(self.ports) > 1
        kinds = [
            (port.name if named and port.width == 1 else "", port) for port in self.ports for _ in range(port.width)
        ]
        return tuple(
            Input(name, None if port.kind == "real" else port.kind, known)
            for (name, port), known in zip(kinds, self.categories, strict=True)
        )

    def told(self, shape: tuple[int, ...], features: tuple[Feature, ...], settings: Mapping[str, Any]) -> "Intake":
        """The intake for the rows of a subject, what the file leaves open taken from its settings."""
        layout = settings.get("layout", self.layouts[0] if self.layouts else "")
        divide = settings.get("divide", 1)
        if self.layouts and layout not in self.layouts:
            raise _setting("layout", f"is {layout!r}", f"Set it to {' or '.join(self.layouts)}")
        if not isinstance(divide, int | float) or not 0 < divide < 1e6:
            raise _setting("divide", f"is {divide!r}", "Set it to 255 or 1")
        known = in_layout(self.ports[0].sizes, layout) if self.image else self.shape
        fits = len(shape) == len(known) and all(mine in (0, theirs) for mine, theirs in zip(known, shape, strict=True))
        if not fits:
            raise broken(
                TITLE,
                f"A row of it is {_by(known)} and the subject's is {_by(shape)}",
                "Make the subject's shape that of the model",
            )
        self._refuse_missing(features)
        categories = () if self.image else tuple(feature.categories for feature in features)
        return replace(
            self, shape=shape, layouts=(layout,) if layout else (), divide=float(divide), categories=categories
        )

    def feeds(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs for rows (n, *shape) in raw units."""
        if self.image:
            port, pixels = self.ports[0], rows / (self.divide or 1.0)
            turned = pixels.transpose(0, 3, 1, 2) if self.layouts[0] == "channels_first" else pixels
            return {port.name: np.ascontiguousarray(turned, port.dtype)}
        made, start = {}, 0
        flat = rows.reshape(len(rows), -1)
        for port in self.ports:
            stop = start + port.width
            part = flat[:, start:stop]
            values = self._names(part, start) if port.kind == "category" else part.astype(port.dtype)
            made[port.name] = values.reshape(len(rows), *port.sizes)
            start = stop
        return made

    def _names(self, codes: np.ndarray, start: int) -> np.ndarray:
        """The names (n, width) of the categories with these codes; any other code is an empty name."""
        named = np.full(codes.shape, "", object)
        for column in range(codes.shape[1]):
            known = np.array([*self.categories[start + column], ""], object)
            code = codes[:, column]
            named[:, column] = known[np.where((code >= 0) & (code < len(known) - 1), code, -1).astype(np.int64)]
        return named

    def _refuse_missing(self, features: tuple[Feature, ...]) -> None:
        if self.image:
            return
        kinds = [port.kind for port in self.ports for _ in range(port.width)]
        for feature, kind in zip(features, kinds, strict=True):
            if feature.missing and kind != "real":
                raise broken(
                    TITLE,
                    f"Its input for {feature.name} cannot be missing",
                    "Let that feature of the subject be present in every row",
                )
            if kind == "category" and not feature.categories:
                raise broken(
                    TITLE, f"Its input for {feature.name} is text", "Make that feature of the subject a category"
                )


def read_intake(graph: Graph) -> Intake:
    """The inputs of a graph. Raises UserFacingError for inputs that are no table and no image."""
    ports = tuple(_port(each) for each in graph.inputs)
    if not ports:
        raise not_taken("It reads no inputs", "Export the whole model")
    batches = {_batch_size(each) for each in graph.inputs}
    batch = next(iter(batches)) if len(batches) == 1 else None
    if len(ports) == 1 and len(ports[0].sizes) == 3 and ports[0].kind in ("real", "integer"):
        return _read_image(graph, ports[0], batch)
    for port in ports:
        if len(port.sizes) > 2:
            raise not_taken("It reads images beside other inputs", "Bring a model that reads images alone")
        if not port.width:
            raise not_taken(
                f"Its input {shown(port.name)!r} does not say how many numbers a row has",
                "Export it with every size but the number of rows written in",
            )
    width = sum(port.width for port in ports)
    if width > WIDEST:
        raise not_taken(f"It reads {width:,} columns and {WIDEST:,} is the most", "Bring a narrower model")
    graph.widths.update({port.name: port.width for port in ports})
    return Intake(ports, (width,), batch, divide=1.0, categories=_categories(graph, ports, width))


def random_rows(intake: Intake, features: tuple[Feature, ...], count: int) -> np.ndarray:
    """Seeded rows (count, *shape): within the features' bounds, or about unit size where nobody has said any."""
    random = np.random.default_rng(_SEED)
    if features:
        lower = np.array([feature.lower for feature in features])
        upper = np.array([feature.upper for feature in features])
        whole = np.array([feature.kind not in ("real", "pixel") for feature in features])
        names = np.array([len(feature.categories) - 1 if feature.categories else 0 for feature in features])
        upper = np.where(names > 0, names, upper)
        rows = random.uniform(lower, upper, (count, len(features)))
        return np.where(whole, np.rint(rows), rows).reshape(count, *intake.shape)
    if intake.image:
        return random.uniform(0, 255 if intake.divide == 1 else 1, (count, *intake.shape))
    rows = random.normal(size=(count, *intake.shape))
    at = 0
    for port in intake.ports:
        for _ in range(port.width):
            if port.kind != "real":
                rows[:, at] = random.integers(0, max(len(intake.categories[at]), 2), count)
            at += 1
    return rows


def _port(value: Any) -> Port:
    from onnx import TensorProto, helper

    kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    rank = len(value.type.tensor_type.shape.dim)
    if value.type.WhichOneof("value") != "tensor_type" or kind not in _KINDS:
        raise not_taken(f"Its input {shown(value.name)!r} is no table of numbers or text", "Export it with tensors")
    if not 1 <= rank <= 4:
        raise not_taken(
            f"Its input {shown(value.name)!r} has {rank} dimensions",
            "Bring a model of tables (rows, columns) or images (rows and three sizes)",
        )
    sizes = tuple(size.dim_value for size in value.type.tensor_type.shape.dim[1:])
    return Port(value.name, _KINDS[kind], helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(kind)), sizes)


def _batch_size(value: Any) -> int | None:
    first = value.type.tensor_type.shape.dim[0]
    return first.dim_value or None


def _categories(graph: Graph, ports: tuple[Port, ...], width: int) -> tuple[tuple[str, ...], ...]:
    """The names that encoders hold for the columns that are text."""
    known: list[tuple[str, ...]] = [()] * width
    text = [port.kind == "category" for port in ports for _ in range(port.width)]
    for node in graph.model.graph.node:
        names = attribute(node, "cats_strings", []) or attribute(node, "keys_strings", [])
        columns = graph.columns(graph.passed(node.input[0])) if names else None
        for column in columns or ():
            if text[column] and not known[column]:
                known[column] = tuple(each.decode("utf-8", "replace") for each in names)
    return tuple(known)


def _read_image(graph: Graph, port: Port, batch: int | None) -> Intake:
    first, divide, note = _first_steps(graph, port)
    leading, trailing = port.sizes[0] in _CHANNELS, port.sizes[2] in _CHANNELS
    if first is not None and first.op_type in ("Conv", "MaxPool", "AveragePool", "BatchNormalization"):
        layouts: tuple[str, ...] = ("channels_first",)
    elif first is not None and first.op_type == "Transpose" and list(attribute(first, "perm", [])) == [0, 3, 1, 2]:
        layouts = ("channels_last",)
    elif leading != trailing:
        layouts = ("channels_first",) if leading else ("channels_last",)
    elif leading:
        layouts = ("channels_first", "channels_last")
    else:
        raise not_taken(
            f"Its input {shown(port.name)!r} of {_by(port.sizes)} does not tell where the colours of an image lie",
            "Export it with 1, 3 or 4 colours first or last",
        )
    either = zip(*(in_layout(port.sizes, layout) for layout in layouts), strict=True)
    shape = tuple(sizes[0] if len(set(sizes)) == 1 else 0 for sizes in either)
    return Intake((port,), shape, batch, layouts, divide, note=note)


def in_layout(sizes: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """The sizes of an input as (height, width, channels)."""
    return (*sizes[1:], sizes[0]) if layout == "channels_first" else sizes


def _first_steps(graph: Graph, port: Port) -> tuple[Any, float | None, str]:
    """The first operator that is no arithmetic with constants, and the range of pixels that the arithmetic tells."""
    tensor = port.name
    ends = np.array([0.0, 1.0, 255.0])
    moved = 0.0
    steps = 0
    node = None
    while len(readers := graph.readers(tensor)) == 1:
        node = readers[0]
        constant = next((graph.constants[name] for name in node.input if name in graph.constants), None)
        if node.op_type in ("Identity", "Cast"):
            tensor = node.output[0]
            continue
        arithmetic = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}.get(node.op_type)
        if arithmetic is None or constant is None or node.input[0] != tensor or not constant.size:
            break
        amount = float(constant.mean())
        moved = max(moved, abs(amount)) if node.op_type in ("Add", "Sub") else moved
        with np.errstate(all="ignore"):
            ends = arithmetic(ends, amount)
        steps += 1
        tensor = node.output[0]
    if port.kind == "integer" or (steps and (abs(ends[2] - ends[0]) <= 20 or moved > 2)):
        return node, 1.0, "It reads pixels from 0 to 255"
    if steps and abs(ends[1] - ends[0]) <= 20:
        return node, None, "It reads pixels from 0 to 1"
    return node, None, ""


def _by(sizes: tuple[int, ...]) -> str:
    return " by ".join(str(size) if size else "any" for size in sizes)


def _setting(key: str, wrong: str, remedy: str) -> Exception:
    return broken(TITLE, f"The setting {key} {wrong}", remedy)
