"""Whether an ONNX file may be handed to a library written in C++: everything that can be told from the bytes in Python.

The rules of the standard are at https://onnx.ai/onnx/repo-docs/IR.html; the standard's own checker is asked last,
because it passes an endless Loop and a tensor of 4 TiB.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from core.errors import UserFacingError
from models.base import broken
from models.onnx import trees as ensembles
from models.onnx.sizes import check_extents, check_tensor, check_types, constant_values, is_small
from models.onnx.words import TITLE, not_taken, shown

LARGEST_FILE = 2**29  # bytes
MOST_NODES = 100_000
MOST_VERSION = 10_000
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")

_BRANCHING = ("If", "Loop", "Scan", "SequenceMap")
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_ML = (
    "ArrayFeatureExtractor", "Binarizer", "CategoryMapper", "FeatureVectorizer", "Imputer", "LabelEncoder",
    "LinearClassifier", "LinearRegressor", "Normalizer", "OneHotEncoder", "Scaler", "SVMClassifier", "SVMRegressor",
    "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "ZipMap",
)  # fmt: skip


def recognises(data: bytes) -> bool:
    """Whether the outermost fields of `data` are those of a ModelProto, the last one perhaps cut short."""
    at, graph = 0, False
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if (field, kind) not in _MODEL_FIELDS or (at <= 2 and field != 1):
            return False
        graph = graph or field == 7
        size, at = _varint(data, at)
        at += size if kind == 2 else 0
    return graph


# ModelProto: ir_version, model_version (varints); producer, domain, doc, graph, opsets, metadata, training, functions.
_MODEL_FIELDS = {(1, 0), (5, 0), *((field, 2) for field in (2, 3, 4, 6, 7, 8, 14, 20, 25, 26))}


def checked(data: bytes) -> Any:
    """The `onnx.ModelProto` in `data`. Raises UserFacingError for one that is damaged, hostile or not taken."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    if len(data) > LARGEST_FILE:
        raise not_taken(f"It has {len(data):,} bytes and {LARGEST_FILE:,} is the most", "Bring a smaller model")
    try:
        model = ModelProto.FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise broken(TITLE, "The file is damaged, cut short or not an ONNX file") from error
    if not model.graph.node or not model.graph.output:
        raise broken(TITLE, "The file is cut short: it has no operators or gives no outputs")
    _check_envelope(model)
    _check_names(model.graph)
    for tensor in model.graph.initializer:
        check_tensor(tensor)
    check_types(model.graph)
    for node in model.graph.node:
        _check_node(node)
    constants = constant_values(model.graph)
    for node in model.graph.node:
        check_extents(node, constants)
    _ask_the_standard(model)
    for node in model.graph.node:
        _check_tables(node)
    _check_foreseen(model)
    return model


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` as protobuf writes it, and where it ends; a broken one is larger than any field."""
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value, at + shift + 1
    return 1 << 70, len(data)


def _check_envelope(model: Any) -> None:
    graph = model.graph
    if model.functions:
        raise not_taken(
            "It defines operators of its own",
            "Write them out and bring the new file:",
            "import onnx, onnx.inliner\n"
            "model = onnx.inliner.inline_local_functions(onnx.load('model.onnx'))\n"
            "onnx.save(model, 'inlined.onnx')",
        )
    if model.training_info:
        raise not_taken("It carries a training procedure", "Export it for inference")
    if graph.sparse_initializer or graph.quantization_annotation:
        raise not_taken("It has sparse or annotated tensors", "Export it with ordinary tensors")
    if len(graph.node) > MOST_NODES:
        raise not_taken(f"It has {len(graph.node):,} operators and {MOST_NODES:,} is the most", "Simplify it")
    for opset in model.opset_import:
        if not 0 < opset.version < MOST_VERSION:
            raise broken(TITLE, f"It names version {opset.version} of its operators, which there is not")
    for domain in [opset.domain for opset in model.opset_import if opset.version] + [n.domain for n in graph.node]:
        if domain not in DOMAINS and domain in {node.domain for node in graph.node}:
            raise not_taken(
                f"It uses operators of {shown(domain)}, which are not part of the standard",
                "Export it with the operators of ONNX alone",
            )


def _check_names(graph: Any) -> None:
    """Every tensor is made once, and before it is read: so there is no cycle."""
    stored = [tensor.name for tensor in graph.initializer]
    given = [each.name for each in graph.input]
    if len(set(stored)) < len(stored) or len(set(given)) < len(given):
        raise broken(TITLE, "Two of its tensors have one name")
    known = set(stored) | set(given)
    for node in graph.node:
        late = [name for name in node.input if name and name not in known]
        if late:
            raise broken(TITLE, f"An operator reads {shown(late[0])!r} before it is made")
        made = [name for name in node.output if name]
        if known & set(made) or len(set(made)) < len(made):
            raise broken(TITLE, f"The tensor {shown(made[0])!r} is made twice")
        known.update(made)
    for each in graph.output:
        if each.name not in known:
            raise broken(TITLE, f"Its output {shown(each.name)!r} is never made")


def _check_node(node: Any) -> None:
    from onnx import AttributeProto

    name = node.op_type
    for given in node.attribute:
        if given.ref_attr_name or given.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) or given.graphs:
            raise _branching(name)
        if given.HasField("g") or given.HasField("sparse_tensor") or given.sparse_tensors:
            raise not_taken(f"Its operator {shown(name)} holds a graph or a sparse tensor", "Export it without")
        for tensor in ([given.t] if given.HasField("t") else []) + list(given.tensors):
            check_tensor(tensor)
    if name in _BRANCHING:
        raise _branching(name)
    if name in _RANDOM:
        raise not_taken(f"Its operator {name} draws random numbers", "Export it for inference")
    if node.domain == "ai.onnx.ml" and name not in _ML:
        raise not_taken(f"Its operator {shown(name)} is not among those that Assay takes", "Export it without")


def _branching(name: str) -> UserFacingError:
    return not_taken(
        f"Its operator {shown(name)} repeats or chooses parts of the model while it runs",
        "Export it without loops and conditions",
    )


def _check_tables(node: Any) -> None:
    """Refuses tables that a library would read past; the types of the attributes are known to be right by now."""
    if node.op_type.startswith("TreeEnsemble"):
        ensembles.read(node)
    if node.op_type.startswith(("Linear", "SVM")):
        _check_coefficients(node)


def _check_coefficients(node: Any) -> None:
    """Refuses linear models and support vector machines whose lists do not fit each other: they would be read past."""
    held = {given.name: given for given in node.attribute}

    def size(name: str) -> int:
        return len(held[name].floats) if name in held else 0

    numbers = [*(number for given in node.attribute for number in given.floats)]
    if not np.isfinite(numbers).all():
        raise broken(TITLE, f"Its operator {node.op_type} holds numbers that are not finite")
    if node.op_type.startswith("Linear"):
        outputs = size("intercepts") or (held["targets"].i if "targets" in held else 1)
        sound = size("coefficients") > 0 and outputs > 0 and size("coefficients") % outputs == 0
    else:
        sound = _sound_vectors(node.op_type, held, size)
    if not sound:
        raise broken(TITLE, f"The lists of its operator {node.op_type} do not fit each other")


def _sound_vectors(name: str, held: dict[str, Any], size: Any) -> bool:
    """Whether a support vector machine has as many coefficients as its vectors need."""
    if name == "SVMRegressor":
        vectors = held["n_supports"].i if "n_supports" in held else 0
        if vectors < 0 or size("rho") < 1:
            return False
        return size("coefficients") == vectors and size("support_vectors") % vectors == 0 if vectors else True
    per_class = list(held["vectors_per_class"].ints) if "vectors_per_class" in held else []
    vectors, classes = sum(per_class), len(per_class)
    if not per_class:
        return size("coefficients") > 0
    pairs = classes * (classes - 1) // 2
    return (
        min(per_class) >= 0
        and vectors > 0
        and size("support_vectors") % vectors == 0
        and size("coefficients") == vectors * (classes - 1)
        and size("rho") >= pairs
        and size("prob_a") == size("prob_b")
        and size("prob_a") in (0, pairs)
    )


def _ask_the_standard(model: Any) -> None:
    """The standard's own checker: operators that there are, with attributes of the right types."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > newest:
            raise not_taken(
                f"It is written in version {opset.version} of the operators, and {newest} is the newest that is known",
                f"Export it with opset {newest} or older",
            )
    with _in_words():
        onnx.checker.check_model(model)


def _check_foreseen(model: Any) -> None:
    """Refuses a model one of whose tensors would become too large, where that can be foreseen.

    Operators of ai.onnx.ml stay out, because onnx itself crashes on some whose input it does not know, and
    so do weights, of which only the sizes matter.
    """
    import onnx

    outline = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    outline.graph.name = model.graph.name
    outline.graph.node.extend(node for node in model.graph.node if node.domain != "ai.onnx.ml")
    outline.graph.input.extend(model.graph.input)
    for tensor in model.graph.initializer:
        if is_small(tensor):
            outline.graph.initializer.append(tensor)
        else:
            outline.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    with _in_words():
        foreseen = onnx.shape_inference.infer_shapes(outline, data_prop=True)
    check_types(foreseen.graph)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Turns what the standard's own checks raise into a sentence."""
    import onnx

    try:
        yield
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise broken(TITLE, f"It breaks a rule of ONNX: {shown(said, 160)}") from error
