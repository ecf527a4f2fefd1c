"""A stored answer's question, to be asked once more: the same method with the same options about the same rows."""

from attacks import ATTACKS
from core.errors import UserFacingError
from core.nouns import ModelFile
from core.options import with_options
from core.results import Result
from engine.engine import Question
from engine.predict import Predict
from engine.worker import Method
from explainers import EXPLAINERS

QUICK = 1
"""Rows up to which a question is one that somebody waits for."""


def question_again(model: ModelFile, result: Result) -> Question:
    """The question to which `result` is the answer.

    Raises UserFacingError where its method is gone or is another by now: asked again, it would be another question.
    """
    method = _method(result)
    if method.method != result.method:
        raise _another(result, f"It is version {method.version} now, and the answer is by {result.method.version}")
    lane = "quick" if len(result.query) <= QUICK else "long"
    return Question(model, method, result.query, lane)


def _method(result: Result) -> Method:
    name = result.method.name
    if name == Predict.name:
        return Predict()
    kind = next((each for each in (*EXPLAINERS, *ATTACKS) if each.name == name), None)
    if kind is None:
        raise _another(result, "There is no such method any more")
    return with_options(kind, dict(result.method.options))


def _another(result: Result, why: str) -> UserFacingError:
    return UserFacingError(
        f"The answer by {result.method.name} cannot be asked for again",
        why,
        "Check it with the version of Assay that gave it",
    )
