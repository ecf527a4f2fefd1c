"""ONNX files: networks with gradients, tree ensembles with their trees, everything else as a black box.

A network is imported into PyTorch and compared with onnxruntime on every load. A softmax or sigmoid at its end
is left out where the subject's output is `logit` or `margin`. Settings, for images and only where the file
leaves them open: `layout` ("channels_first" or "channels_last") and `divide`, the number that pixels are
divided by before the model sees them (1 or 255).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.facts import ModelFacts
from core.models import Differentiable, Model, TreeEnsemble
from core.nouns import Capability, ModelSpec
from models.base import broken
from models.onnx import check
from models.onnx import trees as ensembles
from models.onnx.graph import Graph, plain
from models.onnx.rows import Intake, Port, in_layout, random_rows, read_intake
from models.onnx.score import Score, find_score
from models.onnx.session import Session, close
from models.onnx.words import TITLE, not_taken, shown

CAPABILITIES: tuple[Capability, ...] = ()

_FORMAT = "onnx"
_ROWS, _PICTURES = 32, 8  # asked to tell the scale
_SIDES = (64, 32, 224)  # tried where a file leaves the size of its images open


class OnnxModel(Model):
    """A graph that onnxruntime answers."""

    def __init__(self, score: Score, spec: ModelSpec) -> None:
        self.spec = spec
        self._score = score
        self._session = Session(score.model, score.intake)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        if not len(rows):
            return np.zeros((0, self.spec.columns))
        return self._score.on_scale(self._session(rows), self.spec.output)


class OnnxTrees(OnnxModel, TreeEnsemble):
    """A sum over trees that read the rows as they come."""

    def trees(self) -> Any:
        """An `onnx.ModelProto` from rows (n, d) to the scores: one TreeEnsembleRegressor and nothing else."""
        return self._score.model


class OnnxNetwork(Differentiable):
    """A graph as a PyTorch network, on the accelerator where there is one."""

    def __init__(self, score: Score, spec: ModelSpec) -> None:
        import torch

        from models.onnx.module import as_module

        self.spec = spec
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.allow_tf32 = False  # convolutions in full float32, so that explanations add up
        self._network = as_module(score, spec.output).to(self.device)
        self._step = score.intake.step

    def module(self) -> Any:
        return self._network

    def predict(self, rows: np.ndarray) -> np.ndarray:
        import torch

        outputs = np.zeros((len(rows), self.spec.columns))
        with torch.no_grad():
            for start in range(0, len(rows), self._step):
                batch = torch.tensor(rows[start : start + self._step], dtype=torch.float32, device=self.device)
                outputs[start : start + self._step] = self._network(batch).cpu().numpy()
        return outputs


def recognises(data: bytes) -> bool:
    """Whether `data` has the outermost fields of an ONNX file."""
    return check.recognises(data)


def inspect(data: bytes) -> ModelFacts:
    """What the ONNX file in `data` is. Raises UserFacingError for one that is damaged, hostile or not taken."""
    graph = Graph(check.checked(data))
    intake = read_intake(graph)
    score = _score_of_any_size(graph, intake)
    ask = {
        "layout": intake.layouts if len(intake.layouts) > 1 else (),
        "divide": (255, 1) if intake.image and intake.divide is None else (),
    }
    told = {"layout": intake.layouts[:1], "divide": () if intake.divide is None else (int(intake.divide),)}
    capabilities = _capabilities(score)
    return ModelFacts(
        format=_FORMAT,
        title=_title(graph, score),
        modality="image" if intake.image else "table",
        shape=intake.shape,
        columns=score.columns,
        outputs=score.outputs,
        told_by=score.told_by,
        inputs=intake.inputs(),
        classes=score.classes,
        capabilities=capabilities,
        settings={key: values[0] for key, values in told.items() if intake.image and values and not ask[key]},
        ask={key: values for key, values in ask.items() if values},
        notes=_notes(score, capabilities),
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> Model:
    """The model in `data`, with gradients where all of its operators have them, with its trees where it adds them up.

    Raises UserFacingError where the file is damaged, hostile or not what `spec` says, and for a network that
    gives other numbers in PyTorch than in onnxruntime.
    """
    unknown = sorted(set(settings) - {"layout", "divide"})
    if unknown:
        raise broken(TITLE, f"{unknown[0]} is not a setting of it", "Take it out of the subject's file")
    graph = Graph(check.checked(data))
    intake = read_intake(graph).told(spec.shape, spec.features, settings)
    rows = random_rows(intake, spec.features, _PICTURES if intake.image else _ROWS)
    score = find_score(graph, intake, rows)
    _check_spec(score, spec)
    if score.trees is not None and score.adds_up(spec.output):
        model: Model = OnnxTrees(_trees_alone(score), spec)
    elif _without_gradients(score):
        model = OnnxModel(score, spec)
    else:
        model = OnnxNetwork(score, spec)
    _compare(model, OnnxModel(score, spec), rows)
    _check_missing(model, rows)
    return model


def _score_of_any_size(graph: Graph, intake: Intake) -> Score:
    """The score of a model, images of open size tried in usual ones."""
    sizes = in_layout(intake.ports[0].sizes, intake.layouts[0]) if intake.image else intake.shape
    for side in _SIDES:
        tried = intake.told(tuple(size or side for size in sizes), (), {}) if intake.image else intake
        try:
            return find_score(graph, tried, random_rows(tried, (), _PICTURES if tried.image else _ROWS))
        except UserFacingError:
            if side == _SIDES[-1] or 0 not in sizes:
                raise
    raise AssertionError("a size is tried or its error raised")


def _without_gradients(score: Score) -> tuple[str, ...]:
    """Why the score has no gradients: operators that the importer lacks, or inputs that are not real numbers."""
    from models.onnx.network import unsupported

    if not score.intake.real:
        return ("inputs that are not real numbers",)
    return unsupported(plain(score.model))


def _capabilities(score: Score) -> tuple[Capability, ...]:
    if score.trees is not None:
        return ("trees",)
    return () if _without_gradients(score) else ("gradients",)


def _trees_alone(score: Score) -> Score:
    """The score as nothing but its trees, which read the whole row as one table."""
    kind = np.float64 if score.double else np.float32
    (width,) = score.intake.shape
    intake = replace(score.intake, ports=(Port("rows", "real", kind, (width,)),), batch=None)
    return replace(score, model=ensembles.as_model(score.trees, width, score.double), intake=intake)


def _check_spec(score: Score, spec: ModelSpec) -> None:
    if spec.output not in score.outputs:
        raise broken(
            TITLE,
            f"Its output cannot be read as a {spec.output}: {score.told_by}",
            f"Set the subject's output to {' or '.join(score.outputs)}",
        )
    found = {"margin": 2, "number": 2 if spec.output == "margin" else 0, "value": 0}.get(score.scale, score.width)
    if found and len(spec.classes) != found:
        raise broken(
            TITLE,
            f"It tells {found} classes apart and the subject names {len(spec.classes)}",
            "Name every class, in the order of the model's outputs",
        )


def _compare(model: Model, wanted: OnnxModel, rows: np.ndarray) -> None:
    """Refuses a model whose answers in PyTorch, or as a sum over trees, are not those of onnxruntime."""
    found, right = model.predict(rows), wanted.predict(rows)
    if not close(found, right):
        raise not_taken(
            f"Read by Assay it differs from onnxruntime by {np.abs(found - right).max():.2g} on ordinary rows",
            "Export it with another version of the operators (opset), or bring it in another format",
        )


def _check_missing(model: Model, rows: np.ndarray) -> None:
    """Refuses a subject with missing values for a model that has no answer to them."""
    missing = np.array([feature.missing for feature in model.spec.features])
    if not missing.any():
        return
    holes = rows.copy().reshape(len(rows), -1)
    holes[:, missing] = np.nan
    if not np.isfinite(model.predict(holes.reshape(rows.shape))).all():
        raise broken(TITLE, "It has no answer where a value is missing", "Let every feature of the subject be present")


def _title(graph: Graph, score: Score) -> str:
    """Who wrote the file, its version of the operators, and what it is made of."""
    model = graph.model
    version = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    release = [word for word in model.producer_version.split()[:1] if word[0].isdigit()]
    writer = " ".join(shown(word, 30) for word in (model.producer_name, *release))
    kinds = [node.op_type for node in model.graph.node if node.op_type not in ("Constant", "ZipMap")]
    most = list(dict.fromkeys(kinds))
    of = ", ".join(shown(kind, 30) for kind in most[:6]) + (" and others" if len(most) > 6 else "")
    what = "network of" if not any(node.domain == "ai.onnx.ml" for node in model.graph.node) else "pipeline of"
    if score.trees is not None:
        what, of = "tree ensemble of", f"{score.trees.count:,} trees"
    parts = [f"ONNX from {writer.strip()}" if writer.strip() else "ONNX", f"opset {version}" if version else ""]
    return f"{', '.join(part for part in parts if part)}: {what} {of}"


def _notes(score: Score, capabilities: tuple[Capability, ...]) -> tuple[str, ...]:
    notes = [score.intake.note] if score.intake.note else []
    if not capabilities:
        lacking = ", ".join(shown(each) for each in _without_gradients(score)[:5])
        notes.append(f"It is asked as a black box: it has no gradients ({lacking})")
    if score.intake.batch:
        notes.append(f"It answers {score.intake.batch} rows at a time, as the file says")
    return tuple(f"{note}." for note in notes)
