"""What the boosters share: on which scale an objective's raw score is, and the names of categories in a file."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserFacingError
from core.nouns import ModelSpec, Output
from models.base import broken

_SCALES = {"margin": "the log-odds", "logit": "one logit a class", "value": "the prediction itself"}


def output_of(title: str, objective: str, allowed: Mapping[Output, Sequence[str]]) -> tuple[Output, str]:
    """The scale of an objective's raw score, and the clause that says how it was told.

    Raises UserFacingError for an objective whose raw score is on no scale that is explained.
    """
    for output, objectives in allowed.items():
        if objective in objectives:
            return output, f"it was trained with the objective {objective!r}, whose raw score is {_SCALES[output]}"
    known = ", ".join(each for objectives in allowed.values() for each in objectives)
    raise UserFacingError(
        f"This {title} model is not taken",
        f"It was trained with the objective {objective!r}, whose raw score is neither log-odds nor the prediction",
        f"Train it with one of these objectives: {known}",
    )


def category_name(value: Any) -> str:
    """A category as a table writes it: whole numbers without a decimal point."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def check_order(title: str, named: Sequence[Sequence[str]], spec: ModelSpec) -> None:
    """Refuses a subject whose categories have the file's names in another order than the file's codes.

    `named` holds each feature's categories as the file has them, empty where it names none.
    """
    for feature, names in zip(spec.features, named, strict=True):
        given = feature.categories[: len(names)]
        if set(given) == set(names) and tuple(given) != tuple(names):
            raise broken(
                title,
                f"The categories of {feature.name} stand in another order in the file: {', '.join(names[:12])}",
                "Name them in the order of the file in subject.toml",
            )


def own_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of `count` features, all empty where the library only numbered them ("Column_0", "f0", "0")."""
    numbered = all(name in (f"Column_{i}", f"f{i}", str(i)) for i, name in enumerate(names))
    return ("",) * count if numbered or len(names) != count else tuple(names)
