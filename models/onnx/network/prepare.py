"""Brings a graph down to the operators that are taken.

Functions that the file defines, and operators that ONNX itself defines by simpler ones, are expanded by
onnx's own inliner. How large that gets is known before it starts: a few kilobytes of functions that
call each other can stand for billions of nodes.
"""

from collections.abc import Iterable

import onnx
import onnx.inliner
import onnx.shape_inference

from models.onnx.network.operators import builder
from models.onnx.network.registry import NotTakenError

OLDEST, NEWEST = 7, onnx.defs.onnx_opset_version()
DEFAULT_DOMAINS = ("", "ai.onnx")

_MOST_NODES = 100_000
_DEEPEST = 64  # functions that call functions


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without functions, as far as they can be expanded. Raises NotTakenError for one too large."""
    opset(model)
    if len(model.graph.node) + sum(len(each.node) for each in model.functions) > _MOST_NODES:
        raise NotTakenError(f"a graph of more than {_MOST_NODES:,} nodes")
    if model.functions:
        _check_expansion(model)
        model = _without_functions(model)
    before: set[tuple[str, str]] = set()
    while (defined := _defined_by_others(model)) and defined != before:
        model, before = _without(model, defined), defined
    return model


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that `model` uses. Raises NotTakenError outside the known range."""
    versions = {each.version for each in model.opset_import if each.domain in DEFAULT_DOMAINS}
    if len(versions) != 1:
        raise NotTakenError("a graph that does not name one opset")
    (version,) = versions
    if not OLDEST <= version <= NEWEST:
        raise NotTakenError(f"opset {version} ({OLDEST} to {NEWEST} are known)")
    return version


def schema(node: onnx.NodeProto, version: int) -> onnx.defs.OpSchema | None:
    """ONNX's definition of the operator of `node` in opset `version`; None where it has none."""
    if node.domain not in DEFAULT_DOMAINS or not onnx.defs.has(node.op_type):
        return None
    try:
        found = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else found


def _defined_by_others(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """The operators in `model` that there is no function for and that ONNX defines by simpler ones."""
    version = opset(model)
    found = set()
    for node in model.graph.node:
        known = schema(node, version)
        if known is None or builder(node.op_type, known.since_version):
            continue
        if known.has_function or known.has_context_dependent_function:
            found.add((node.domain, node.op_type))
    return found


def _without(model: onnx.ModelProto, defined: set[tuple[str, str]]) -> onnx.ModelProto:
    """`model` with the operators in `defined` written out."""
    version = opset(model)
    try:
        typed = onnx.shape_inference.infer_shapes(model)  # some definitions depend on the types of the inputs
        for node in typed.graph.node:
            if (node.domain, node.op_type) in defined:
                known = schema(node, version).attributes.values()
                _write_defaults(node, [each.default_value for each in known])
        return onnx.inliner.inline_selected_functions(typed, sorted(defined), inline_schema_functions=True)
    except (RuntimeError, onnx.shape_inference.InferenceError) as error:
        names = " or ".join(sorted(name for _, name in defined))
        raise NotTakenError(f"{names} without some of its inputs") from error


def _without_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the functions of the file written out."""
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for nodes in (copy.graph.node, *(each.node for each in copy.functions)):
        for node in nodes:
            called = functions.get((node.domain, node.op_type, node.overload))
            if called is not None:
                _write_defaults(node, called.attribute_proto)
    try:
        return onnx.inliner.inline_local_functions(copy)
    except RuntimeError as error:
        raise NotTakenError("functions that cannot be written out") from error


def _write_defaults(node: onnx.NodeProto, defaults: Iterable[onnx.AttributeProto]) -> None:
    """Writes into a node the attributes that it leaves out, because the inliner forgets their defaults."""
    given = {each.name for each in node.attribute}
    for each in defaults:
        if each.name not in given and each.type != onnx.AttributeProto.UNDEFINED:
            node.attribute.append(each)


def _check_expansion(model: onnx.ModelProto) -> None:
    """Refuses functions that call themselves, or whose calls written out are too many nodes."""
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        if depth > _DEEPEST:
            raise NotTakenError(f"functions that call each other more than {_DEEPEST} deep, or without end")
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            if key in functions and key not in sizes:
                sizes[key] = size(functions[key].node, depth + 1)
            total += sizes.get(key, 1)
            total += sum(size(each.g.node, depth + 1) for each in node.attribute)
        if total > _MOST_NODES:
            raise NotTakenError(f"functions that stand for more than {_MOST_NODES:,} nodes")
        return total

    size(model.graph.node, 0)
