"""Which numbers of an ONNX model are its score, and on which scale: told from its last steps, checked on numbers.

A softmax or sigmoid at the end is left out, so that what is read adds up; where the last steps do not say what
the numbers are, the numbers themselves are looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from core.nouns import Output
from models.base import broken
from models.onnx import trees as ensembles
from models.onnx.graph import PASSING, Graph, attribute, linear, linear_width, with_any_batch
from models.onnx.rows import Intake
from models.onnx.session import Session, close, free_batch
from models.onnx.trees import Trees
from models.onnx.words import TITLE, not_taken, shown

Scale = Literal["margin", "logit", "probability", "value", "number"]
Squash = Literal["", "softmax", "sigmoid"]

# One number a row without a word about it may be a margin or a value: a person has to say.
_OUTPUTS: dict[Scale, tuple[Output, ...]] = {
    "margin": ("margin", "probability"),
    "logit": ("logit", "probability"),
    "probability": ("probability",),
    "value": ("value",),
    "number": ("margin", "value"),
}
_POST: dict[str, Squash] = {"NONE": "", "SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
INT64, STRING = 7, 8  # as TensorProto numbers its types
_REGRESSORS = ("TreeEnsembleRegressor", "LinearRegressor", "SVMRegressor")


@dataclass(frozen=True)
class Score:
    """What is asked of the model: `model` has one output (n, ...) that `on_scale` reads.

    `columns` is how many numbers the file itself gives a row, `width` how many the score has. `trees` are set
    where the score is a sum over trees that read the rows as they come, in double precision where `double`.
    """

    model: Any
    intake: Intake
    scale: Scale
    columns: int
    width: int
    told_by: str
    classes: tuple[str, ...] = ()
    last_only: bool = False
    trees: Trees | None = None
    double: bool = False

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The scales on which the score can be read, the one on which it adds up first."""
        return _OUTPUTS[self.scale]

    def adds_up(self, output: Output) -> bool:
        """Whether `output` is the score itself, and no function of it."""
        return output != "probability" or self.scale == "probability"

    def on_scale(self, raw: np.ndarray, output: Output) -> np.ndarray:
        """Scores (n, width or more) as `output` wants them, (n, columns)."""
        score = raw[:, -1:] if self.last_only else raw
        if self.adds_up(output):
            return score
        if self.scale == "margin":
            return np.concatenate([_sigmoid(-score), _sigmoid(score)], axis=1)
        return _softmax(score)


@dataclass(frozen=True)
class _Head:
    """A model cut before its last step, and what that step was."""

    model: Any
    squash: Squash
    trees: Trees | None = None
    double: bool = False


def find_score(graph: Graph, intake: Intake, rows: np.ndarray) -> Score:
    """The score of the model. Raises UserFacingError where it gives none, or one that is not a row's own."""
    name = _output(graph)
    _check_widths(graph)
    whole, free = free_batch(graph.upto(name), intake, rows)
    session = Session(whole, free)
    out = session(rows)
    if not close(np.concatenate([session(row[None]) for row in rows[:3]]), out[:3]):
        raise not_taken(
            "Its answer to a row depends on the rows beside it, or on chance", "Export it for inference (eval mode)"
        )
    classes = _classes(graph, out.shape[1])
    _check_labels(graph, free, rows, out, classes)
    plain = Score(whole, free, "number", out.shape[1], out.shape[1], "", classes)
    for head in _heads(graph, name):
        model = head.model if free.batch else with_any_batch(head.model)
        score = _linked(
            graph, replace(plain, model=model, trees=head.trees, double=head.double), head.squash, rows, out
        )
        if score is not None:
            return score
    return _by_numbers(graph, plain, out)


def _check_widths(graph: Graph) -> None:
    """Refuses trees and linear models that read other columns than they are given, where that can be told."""
    for node in graph.model.graph.node:
        columns = graph.columns(node.input[0]) if node.domain == "ai.onnx.ml" else None
        if columns is None:
            continue
        given, trees = len(columns), node.op_type.startswith("TreeEnsemble")
        if trees and (wanted := ensembles.read(node).features) > given:
            raise broken(TITLE, f"Its trees ask for column {wanted:,} of {given:,}")
        if node.op_type.startswith("Linear") and (wanted := linear_width(node)) != given:
            raise broken(TITLE, f"Its linear model reads {wanted:,} columns and is given {given:,}")


def _check_labels(graph: Graph, intake: Intake, rows: np.ndarray, out: np.ndarray, classes: tuple[str, ...]) -> None:
    """Refuses a model whose labels are mostly not those of its largest outputs: their order would be a guess."""
    labels = [each for each in graph.model.graph.output if each.type.tensor_type.elem_type in (INT64, STRING)]
    if len(labels) != 1 or not classes or out.shape[1] < 2:
        return
    cut = graph.upto(labels[0].name, kind=labels[0].type.tensor_type.elem_type)
    said = Session(cut if intake.batch else with_any_batch(cut), intake).raw(rows)[:, 0]
    agree = np.mean([_text(each) == classes[at] for each, at in zip(said.tolist(), out.argmax(axis=1), strict=True)])
    if agree < 0.5:
        raise not_taken(
            "The labels that it gives are not those of its largest outputs",
            "Export it with probabilities (scikit-learn's SVC: probability=True), or bring it as skops",
        )


def _output(graph: Graph) -> str:
    """The one output that is a table of reals; a ZipMap is taken off it."""
    scores = []
    for each in graph.model.graph.output:
        maker = graph.makers.get(each.name)
        if maker is not None and maker.op_type == "ZipMap":
            scores.append(maker.input[0])
        elif each.type.tensor_type.elem_type in (1, 10, 11):
            scores.append(each.name)
    if len(scores) == 1:
        return scores[0]
    if not scores:
        raise not_taken("It gives no scores, only labels", "Export it with its probabilities")
    names = ", ".join(shown(name) for name in scores[:5])
    raise not_taken(
        f"It gives several outputs ({names}) and Assay cannot know which one decides",
        "Export it with one of them alone; skl2onnx does so with options={'zipmap': False}",
    )


def _heads(graph: Graph, name: str) -> Iterator[_Head]:
    """The model cut before its last step, where that is one that is known."""
    tensor, squash = _before_squash(graph, name)
    node = graph.makers.get(graph.passed(tensor if squash else _loosely_passed(graph, name)))
    post: Squash | None = None
    if node is not None and node.domain == "ai.onnx.ml":
        post = _POST.get(_post(node))
    if post is not None and not (post and squash):
        yield from _ml_heads(graph, node, squash or post)
    if squash:
        yield _Head(graph.upto(tensor), squash)


def _ml_heads(graph: Graph, node: Any, squash: Squash) -> Iterator[_Head]:
    """The scores of a linear model or of trees, in the forms that onnxruntime may have given its outputs."""
    if node.op_type == "LinearClassifier":
        yield _Head(graph.upto("assay_raw", linear(node, "assay_raw")), squash)
    version = _ml_version(graph)
    if not node.op_type.startswith("TreeEnsemble") or version is None:
        return
    trees = ensembles.read(node)
    if not trees.additive:
        return
    forms = [trees.only(len(trees.base) - 1)] if squash == "sigmoid" else [trees]
    if not squash and len(trees.base) == 1:
        forms.append(trees.with_complement())
    columns = graph.columns(node.input[0])
    for form in forms:
        read = None
        if columns is not None:
            read = form.reading(np.array(columns, np.int64))
        nodes = ensembles.as_nodes(form, node.input[0], "assay_raw")
        yield _Head(graph.upto("assay_raw", nodes, version), squash, read, graph.double(node.input[0]))


def _ml_version(graph: Graph) -> int | None:
    """A version of ai.onnx.ml in which the tree operators are not yet withdrawn and all others mean the same."""
    version = max((each.version for each in graph.model.opset_import if each.domain == "ai.onnx.ml"), default=1)
    encodes = any(node.op_type == "LabelEncoder" for node in graph.model.graph.node)
    return None if version == 1 and encodes else min(max(version, 3), 4)


def _before_squash(graph: Graph, name: str) -> tuple[str, Squash]:
    """The tensor that goes into the softmax or sigmoid at the end, and which it was."""
    name = _loosely_passed(graph, name)
    node = graph.makers.get(name)
    if node is not None and node.op_type in ("Softmax", "LogSoftmax"):
        return node.input[0], "softmax"
    if node is not None and node.op_type == "Sigmoid":
        return node.input[0], "sigmoid"
    return name, ""


def _loosely_passed(graph: Graph, name: str) -> str:
    """The tensor behind steps that may leave the numbers as they are: whether they do is checked on numbers.

    (1 - p, p) put together from p counts as such, as do a norm of rows that add up to 1 and a product with 1.
    """
    while (node := graph.makers.get(name)) is not None:
        scaled = node.op_type in ("Mul", "Div") and any(graph.constants.get(each) is not None for each in node.input)
        if node.op_type in (*PASSING, "Normalizer") or scaled:
            name = node.input[0]
        elif node.op_type == "Concat" and len(node.input) == 2:
            name = node.input[1]
        else:
            break
    return name


def _post(node: Any) -> str:
    if node.op_type == "TreeEnsemble":
        return ensembles.read(node).post
    return attribute(node, "post_transform", b"NONE").decode("utf-8", "replace")


def _linked(graph: Graph, made: Score, squash: Squash, rows: np.ndarray, out: np.ndarray) -> Score | None:
    """The cut model as a score, where its numbers and the file's own outputs belong together; None where not."""
    raw = Session(made.model, made.intake)(rows)
    made = replace(made, width=raw.shape[1])
    if squash == "softmax":
        fits = raw.shape == out.shape and raw.shape[1] > 1
        if fits and (close(_softmax(raw), out) or close(np.log(_softmax(raw)), out)):
            return replace(made, scale="logit", told_by="its last step is a softmax, which is left out")
        return None
    last = raw[:, -1:]
    if squash == "sigmoid":
        both = np.concatenate([_sigmoid(-last), _sigmoid(last)], axis=1)
        if close(both[:, -out.shape[1] :], out):
            told = "its last step is a sigmoid, which is left out"
            return replace(made, scale="margin", width=1, told_by=told, last_only=True)
        return None
    if raw.shape[1] == 1 and close(np.concatenate([-raw, raw], axis=1), out):
        return replace(made, scale="margin", told_by="it gives one score and its negative")
    return _by_numbers(graph, made, out) if close(raw, out) else None


def _by_numbers(graph: Graph, made: Score, out: np.ndarray) -> Score:
    """The scale of outputs (n, columns) whose last step does not say it."""
    regressor = not made.classes and any(node.op_type in _REGRESSORS for node in graph.model.graph.node)
    if out.shape[1] == 1:
        if regressor:
            return replace(made, scale="value", told_by="it is a regression")
        return replace(made, scale="number", told_by="the file does not tell what its one number is")
    if regressor:
        raise not_taken(f"It predicts {out.shape[1]} numbers at once", "Export a model of one of them")
    if out.shape[1] == 2 and close(out[:, :1], -out[:, 1:]):
        only = made.trees.only(1) if made.trees else None
        told = "it gives one score and its negative"
        return replace(made, scale="margin", width=1, told_by=told, last_only=True, trees=only)
    if (out >= -1e-6).all() and np.allclose(out.sum(axis=1), 1, atol=1e-4):
        return replace(made, scale="probability", told_by="its outputs are never negative and add up to 1")
    told = "it has a number for each class, and they do not add up to 1"
    return replace(made, scale="logit", told_by=told)


def _classes(graph: Graph, width: int) -> tuple[str, ...]:
    """The names of the classes, where the file has as many as it needs."""
    held = [ensembles.labels(node) for node in graph.model.graph.node]
    for node in graph.model.graph.node:
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in graph.constants:
            picked = graph.makers.get(graph.passed(node.input[1]))
            if picked is not None and picked.op_type == "ArgMax":
                held.append(tuple(_text(each) for each in graph.constants[node.input[0]].reshape(-1).tolist()))
    return next((names for names in held if len(names) == max(width, 2)), ())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _sigmoid(score: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-score))


def _softmax(score: np.ndarray) -> np.ndarray:
    raised = np.exp(score - score.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
