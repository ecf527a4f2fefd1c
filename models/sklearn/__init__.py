"""scikit-learn's models as skops files: single estimators and whole pipelines, explained in raw columns.

The file is read by our own reader from our own list of classes (`models.sklearn.file`), its estimators are checked
(`models.sklearn.checks`), and rows are turned into what the pipeline was fitted on: text, numbers and
true or false, under its own column names.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.facts import ModelFacts
from core.models import Differentiable, Linear, Model, TreeEnsemble
from core.nouns import Capability, ModelSpec
from models.base import broken, check_width
from models.sklearn import file, shapes
from models.sklearn.allowed import FAILURES, TITLE
from models.sklearn.checks import check_estimators
from models.sklearn.columns import Raw, Table, inputs, plain_features, raw_columns
from models.sklearn.outputs import Outputs, check_agreement, outputs_of

CAPABILITIES = ()

_BATCH = 4096  # rows at a time
_TRIED = 64  # rows that a file is tried on


class SklearnModel(Model):
    """A pipeline and one of its outputs; rows are turned into what it was fitted on."""

    def __init__(self, outputs: Outputs, table: Table, spec: ModelSpec) -> None:
        self.spec = spec
        self._outputs = outputs
        self._table = table

    def predict(self, rows: np.ndarray) -> np.ndarray:
        scores = np.empty((len(rows), self.spec.columns))
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            table = self._table.make(part.reshape(len(part), -1))
            scores[start : start + _BATCH] = self._outputs.predict(table, self.spec.output)
        return scores


class SklearnTrees(SklearnModel, TreeEnsemble):
    """A tree, a forest or a boosted ensemble that reads the raw columns."""

    def __init__(self, outputs: Outputs, table: Table, spec: ModelSpec, native: Any) -> None:
        super().__init__(outputs, table, spec)
        self._native = native

    def trees(self) -> Any:
        return self._native


class SklearnLinear(SklearnModel, Linear, Differentiable):
    """A linear model, and what stands before it folded into its weights."""

    def __init__(self, outputs: Outputs, table: Table, spec: ModelSpec, line: tuple[np.ndarray, np.ndarray]) -> None:
        super().__init__(outputs, table, spec)
        self._line = line

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        weights, intercepts = self._line
        return weights.reshape(len(weights), *self.spec.shape), intercepts

    def module(self) -> Any:
        return shapes.line_module(self._outputs, self._table.make, self._line)


class SklearnNetwork(SklearnModel, Differentiable):
    """A multilayer perceptron, also as a torch module with its scaler as the first layer."""

    def __init__(self, outputs: Outputs, table: Table, spec: ModelSpec, network: Any) -> None:
        super().__init__(outputs, table, spec)
        self._network = network

    def module(self) -> Any:
        return self._network


def recognises(data: bytes) -> bool:
    """Whether `data` is a skops file, told by its `schema.json`."""
    return file.looks_like_skops(data)


def inspect(data: bytes) -> ModelFacts:
    """What the model in `data` is. `capabilities` are those of its first output: no other is linear or adds up.

    Raises UserFacingError for a file that is not taken, with the name of what is in the way.
    """
    version, columns, outputs = _open(data)
    features = plain_features(columns)
    output = next(iter(outputs.scores))
    model = _model(outputs, columns, ModelSpec("table", (len(columns),), features, outputs.classes, output, ""))
    return ModelFacts(
        format="sklearn",
        title=_title(outputs),
        modality="table",
        shape=(len(columns),),
        columns=model.spec.columns,
        outputs=tuple(outputs.scores),
        told_by=outputs.told_by,
        inputs=inputs(columns),
        classes=outputs.classes,
        capabilities=_capabilities(model),
        notes=(*outputs.notes, *_version_note(version)),
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> SklearnModel:
    """The model in `data` on the scale of `spec.output`. `settings` takes no keys.

    Raises UserFacingError where the file is not taken, or `spec` has other columns, words, classes or outputs.
    """
    _, columns, outputs = _open(data)
    check_width(TITLE, len(columns), spec)
    if spec.output not in outputs.scores:
        raise broken(
            TITLE, f"It has no {spec.output}", f"Make its output in subject.toml {' or '.join(outputs.scores)}"
        )
    if len(spec.classes) != len(outputs.classes):
        raise broken(
            TITLE,
            f"It tells {len(outputs.classes)} classes apart and the subject names {len(spec.classes)}",
            f"Name its classes in their order: {', '.join(outputs.classes[:9])}",
        )
    return _model(outputs, columns, spec)


def _open(data: bytes) -> tuple[str, tuple[Raw, ...], Outputs]:
    """The version that wrote the file, the columns and the outputs of its model, tried on invented rows."""
    opened = file.read(data)
    check_estimators(opened.made)
    try:
        columns, outputs = raw_columns(opened.model), outputs_of(opened.model)
    except FAILURES as error:
        raise broken(TITLE, "It is not fitted, or was written by another version of scikit-learn") from error
    table = Table(columns, plain_features(columns))
    check_agreement(outputs, table.make(table.invent(_TRIED)))
    return opened.version, columns, outputs


def _model(outputs: Outputs, columns: tuple[Raw, ...], spec: ModelSpec) -> SklearnModel:
    """The model with what it can do on the scale of `spec.output`."""
    table = Table(columns, spec.features)
    model = SklearnModel(outputs, table, spec)
    if spec.output == shapes.tree_scale(outputs):
        return SklearnTrees(outputs, table, spec, shapes.trees(outputs.last, columns, spec.features))
    if spec.output != next(iter(outputs.scores)):
        return model
    if shapes.is_linear(outputs, len(columns)):
        rows, line = table.invent(_TRIED), shapes.line(model.predict, len(columns))
        return SklearnLinear(outputs, table, spec, line) if shapes.follows(line, rows, model.predict(rows)) else model
    if shapes.is_network(outputs, len(columns)):
        return SklearnNetwork(outputs, table, spec, _network(outputs, table, model))
    return model


def _network(outputs: Outputs, table: Table, model: SklearnModel) -> Any:
    """The perceptron as a torch module. Raises UserFacingError where it answers otherwise than scikit-learn does."""
    import torch

    rows = table.invent(_TRIED)
    expected = model.predict(rows)
    network = shapes.network_module(outputs, table.make, rows.shape[1])
    with torch.no_grad():
        found = network(torch.tensor(rows, dtype=torch.float32)).numpy()
    if np.abs(found - expected).max() > 1e-4 * (1 + np.abs(expected).max()):
        raise broken(TITLE, "As a network it answers otherwise than scikit-learn does", "Export it as ONNX")
    return network


def _capabilities(model: SklearnModel) -> tuple[Capability, ...]:
    if isinstance(model, SklearnTrees):
        return ("trees",)
    if isinstance(model, SklearnLinear):
        return ("linear", "gradients")
    return ("gradients",) if isinstance(model, SklearnNetwork) else ()


def _title(outputs: Outputs) -> str:
    names = [type(step).__name__ for step in (*outputs.steps, outputs.last)]
    return f"scikit-learn pipeline: {', '.join(names)}" if outputs.steps else f"scikit-learn {names[0]}"


def _version_note(version: str) -> tuple[str, ...]:
    import sklearn

    if not version or version == sklearn.__version__:
        return ()
    return (f"It was written by scikit-learn {version} and is read by {sklearn.__version__}.",)
