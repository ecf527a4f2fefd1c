"""Arithmetic, comparisons and logic, number by number, and conversions between types."""

from functools import reduce

import torch

from models.onnx.network.registry import Node, Step, dtype, operator, plain

plain(
    {
        "Abs": torch.abs,
        "Acos": torch.acos,
        "Acosh": torch.acosh,
        "Add": torch.add,
        "And": torch.logical_and,
        "Asin": torch.asin,
        "Asinh": torch.asinh,
        "Atan": torch.atan,
        "Atanh": torch.atanh,
        "BitwiseAnd": torch.bitwise_and,
        "BitwiseNot": torch.bitwise_not,
        "BitwiseOr": torch.bitwise_or,
        "BitwiseXor": torch.bitwise_xor,
        "Ceil": torch.ceil,
        "Cos": torch.cos,
        "Cosh": torch.cosh,
        "Equal": torch.eq,
        "Erf": torch.erf,
        "Exp": torch.exp,
        "Floor": torch.floor,
        "Greater": torch.gt,
        "GreaterOrEqual": torch.ge,
        "IsNaN": torch.isnan,
        "Less": torch.lt,
        "LessOrEqual": torch.le,
        "Log": torch.log,
        "Mul": torch.mul,
        "Neg": torch.neg,
        "Not": torch.logical_not,
        "Or": torch.logical_or,
        "Reciprocal": torch.reciprocal,
        "Round": torch.round,
        "Sign": torch.sign,
        "Sin": torch.sin,
        "Sinh": torch.sinh,
        "Sqrt": torch.sqrt,
        "Sub": torch.sub,
        "Tan": torch.tan,
        "Where": torch.where,
        "Xor": torch.logical_xor,
    }
)


@operator("Identity")
def identity(node: Node) -> Step:
    return lambda x: x


@operator("Div")
def divide(node: Node) -> Step:
    """Whole numbers are divided towards zero."""
    return lambda a, b: torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


@operator("Pow")
def power(node: Node) -> Step:
    """The result has the type of the base, whatever the exponent's."""
    return lambda base, exponent: torch.pow(base, exponent).to(base.dtype)


@operator("Mod")
def modulo(node: Node) -> Step:
    """The sign of the divisor, or with `fmod` the dividend's."""
    return torch.fmod if node["fmod"] else torch.remainder


@operator("IsInf")
def is_inf(node: Node) -> Step:
    positive, negative = bool(node["detect_positive"]), bool(node["detect_negative"])
    return lambda x: (torch.isposinf(x) & positive) | (torch.isneginf(x) & negative)


@operator("Max")
def maximum(node: Node) -> Step:
    return lambda *xs: reduce(torch.maximum, xs)


@operator("Min")
def minimum(node: Node) -> Step:
    return lambda *xs: reduce(torch.minimum, xs)


@operator("Sum")
def total(node: Node) -> Step:
    return lambda *xs: reduce(torch.add, xs)


@operator("Mean")
def mean(node: Node) -> Step:
    return lambda *xs: reduce(torch.add, xs) / len(xs)


@operator("Clip")
def clip_to_attributes(node: Node) -> Step:
    low, high = node["min"], node["max"]
    return lambda x: torch.clamp(x, low, high)


@operator("Clip", since=11)
def clip(node: Node) -> Step:
    def run(x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None) -> torch.Tensor:
        return x if low is None and high is None else torch.clamp(x, low, high)

    return run


@operator("Cast")
def cast(node: Node) -> Step:
    kind = dtype(node["to"])
    return lambda x: x.to(kind)


@operator("CastLike")
def cast_like(node: Node) -> Step:
    return lambda x, like: x.to(like.dtype)
