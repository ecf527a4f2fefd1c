"""What a fitted scikit-learn model gives for a row, and on which scales that can be read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.nouns import Output
from models.base import broken
from models.sklearn.allowed import FAILURES, TITLE
from models.sklearn.columns import text

_DISTANCE = (
    "Its margin is a distance from the boundary, not log-odds: a probability shown here is only a reading of it and "
    "not calibrated."
)
_SAME_VERSION = "Export it again with this version of scikit-learn"
_VOTES = "Where two classes get as many votes, its own predict takes the first and the larger margin is taken here."


@dataclass(frozen=True)
class Outputs:
    """The scores of a model: for each output, the one to take first first, a function from what the last step reads.

    `steps` are the transformers before `last`, nested pipelines laid out flat.
    """

    steps: tuple[Any, ...]
    last: Any
    scores: Mapping[Output, Callable[[Any], np.ndarray]]
    classes: tuple[str, ...]
    told_by: str
    notes: tuple[str, ...] = ()

    def prepare(self, table: Any) -> Any:
        """`table` through the steps before the last."""
        for step in self.steps:
            table = step.transform(table)
        return table

    def predict(self, table: Any, output: Output) -> np.ndarray:
        """(n, columns) float64. Raises UserFacingError where the model cannot read the rows."""
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scores = np.asarray(self.scores[output](self.prepare(table)), dtype=np.float64)
        except FAILURES as error:
            raise UserFacingError(
                "The scikit-learn model cannot read a row",
                f"It says: {str(error).splitlines()[0][:300]}" if str(error) else "It gives no reason",
                "Give it rows like those that it was trained on",
            ) from error
        return scores.reshape(len(scores), -1)


def outputs_of(model: Any) -> Outputs:
    """The outputs of `model`. Raises UserFacingError for what is neither a classifier nor a regressor of one number."""
    from sklearn.base import is_classifier, is_regressor

    *steps, last = _flat(model)
    if is_regressor(last):
        return Outputs(tuple(steps), last, {"value": last.predict}, (), "it is a regressor")
    if not is_classifier(last):
        raise broken(
            TITLE,
            f"Its last step is a {type(last).__name__}, which predicts no label",
            "Bring a classifier or a regressor, with its preprocessing in one Pipeline",
        )
    classes = last.classes_
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) < 2:
        raise broken(TITLE, "It predicts several labels at once, or has one class only", "Bring a model of one label")
    scores, told_by, notes = _scores(last, len(classes))
    return Outputs(tuple(steps), last, scores, tuple(text(each) for each in classes.tolist()), told_by, notes)


def _scores(last: Any, classes: int) -> tuple[Mapping[Output, Callable[[Any], np.ndarray]], str, tuple[str, ...]]:
    name = type(last).__name__
    natural: Output = "margin" if classes == 2 else "logit"
    chances = getattr(last, "predict_proba", None)
    decide = getattr(last, "decision_function", None)
    if name == "MLPClassifier":
        if last.out_activation_ != ("logistic" if classes == 2 else "softmax"):
            raise broken(TITLE, "It predicts several labels at once", "Bring a model of one label")
        found = {natural: lambda table: before_activation(last, table), "probability": chances}
        return found, f"its last layer gives the {natural} before {last.out_activation_}", ()
    if chances is not None and decide is not None and _gives_log_odds(last, name, classes):
        told = "its decision function is the logarithm of its odds" if classes == 2 else "it is a softmax over classes"
        return {natural: decide, "probability": chances}, told, ()
    if chances is not None:
        return {"probability": chances}, "it has predict_proba", ()
    if decide is None:
        raise broken(
            TITLE,
            f"A {name} of this kind names a class and gives no score",
            "Train it so that it has predict_proba (voting='soft'), or wrap it in CalibratedClassifierCV",
        )
    notes = (_DISTANCE, _VOTES) if name in ("SVC", "NuSVC") and classes > 2 else (_DISTANCE,)
    return {natural: decide}, "it has a decision function and no probabilities", notes


def _gives_log_odds(last: Any, name: str, classes: int) -> bool:
    """Whether the decision function, through sigmoid or softmax, is exactly the probabilities."""
    if name in ("LogisticRegression", "LogisticRegressionCV"):
        apart = last.solver == "liblinear" or vars(last).get("multi_class") == "ovr"
        return (classes == 2 and vars(last).get("multi_class") != "multinomial") or (classes > 2 and not apart)
    if name == "SGDClassifier":
        return classes == 2 and last.loss == "log_loss"
    if name in ("GradientBoostingClassifier", "HistGradientBoostingClassifier"):
        return last.loss == "log_loss"
    return name in ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis")


def before_activation(network: Any, table: Any) -> np.ndarray:
    """The last layer of a multilayer perceptron before sigmoid or softmax, (n, 1) or (n, classes)."""
    from sklearn.neural_network._base import ACTIVATIONS
    from sklearn.utils.extmath import safe_sparse_dot
    from sklearn.utils.validation import check_array

    layer = check_array(table, accept_sparse=["csr", "csc"])
    for number, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        layer = safe_sparse_dot(layer, weights) + bias
        if number < len(network.coefs_) - 1:
            ACTIVATIONS[network.activation](layer)
    return layer


def check_agreement(outputs: Outputs, table: Any) -> None:
    """Refuses a model whose scales disagree on `table`, or whose answers are no scores of its classes."""
    found = {output: outputs.predict(table, output) for output in outputs.scores}
    for output, scores in found.items():
        wanted = 1 if output in ("margin", "value") else len(outputs.classes)
        if scores.shape[1] != wanted:
            why = f"It gives {scores.shape[1]} numbers a row where one answer has {wanted}"
            raise broken(TITLE, why, "Bring a model of one label")
        if not np.isfinite(scores).all():
            raise broken(TITLE, "Its answer to a row is not a finite number", "Look for NaN among its fitted numbers")
    chances = found.get("probability")
    if chances is None:
        return
    if (chances < -1e-9).any() or np.abs(chances.sum(axis=1) - 1).max() > 1e-6:
        raise broken(TITLE, "Its probabilities do not add up to one", _SAME_VERSION)
    for output in set(found) - {"probability"}:
        if np.abs(_as_chances(found[output]) - chances).max() > 1e-6:
            raise broken(TITLE, f"Its {output} and its probabilities disagree", _SAME_VERSION)


def _as_chances(scores: np.ndarray) -> np.ndarray:
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores[:, 0]])
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _flat(model: Any) -> list[Any]:
    """The steps of a pipeline and of the pipelines in it, those that pass everything through left out."""
    if type(model).__name__ != "Pipeline":
        return [model]
    steps = [inner for _, step in model.steps if step is not None and step != "passthrough" for inner in _flat(step)]
    if not steps:
        raise broken(TITLE, "Its pipeline has no steps", "Bring a classifier or a regressor")
    return steps
