"""Which scikit-learn models are trees, linear, or networks in their raw columns, and what they are then."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.nouns import Feature, Output
from models.sklearn.allowed import words
from models.sklearn.columns import Raw, codes_of
from models.sklearn.outputs import Outputs

Line = tuple[np.ndarray, np.ndarray]

_MOST_COLUMNS = 2000  # a line is found from one row for each column
_SELECTS = words(
    "GenericUnivariateSelect RFE RFECV SelectFdr SelectFpr SelectFromModel SelectFwe SelectKBest SelectPercentile "
    "SequentialFeatureSelector VarianceThreshold"
)
_PROJECTS = words(
    "FactorAnalysis FastICA GaussianRandomProjection IncrementalPCA PCA RobustScaler SparseRandomProjection "
    "StandardScaler TruncatedSVD"
)
_LINEAR = words(
    "ARDRegression BayesianRidge ElasticNet ElasticNetCV HuberRegressor Lars LarsCV Lasso LassoCV LassoLars "
    "LassoLarsCV LassoLarsIC LinearDiscriminantAnalysis LinearRegression LinearSVC LinearSVR "
    "LogisticRegression LogisticRegressionCV OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV "
    "PassiveAggressiveClassifier PassiveAggressiveRegressor Perceptron QuantileRegressor Ridge RidgeCV "
    "RidgeClassifier RidgeClassifierCV SGDClassifier SGDRegressor TheilSenRegressor"
)
_FORESTS = ("DecisionTree", "ExtraTree", "RandomForest")
_SUMS = frozenset({"squared_error", "absolute_error", "quantile", "huber"})  # losses whose value is the sum itself


def tree_scale(outputs: Outputs) -> Output | None:
    """The output that is the sum, or the mean, of decision trees which read the raw columns; None where none is."""
    last, name = outputs.last, type(outputs.last).__name__
    if not all(_passes_through(step) for step in outputs.steps):
        return None
    if name.startswith(_FORESTS):
        return "probability" if outputs.classes else "value"
    if name.startswith("GradientBoosting") and not _starts_constant(last):
        return None
    if name.startswith(("GradientBoosting", "HistGradientBoosting")):
        adds = last.loss == "log_loss" if outputs.classes else last.loss in _SUMS
        return next(iter(outputs.scores)) if adds else None
    return None


def trees(last: Any, columns: Sequence[Raw], features: Sequence[Feature]) -> Any:
    """The estimator whose trees read rows as they are: histogram boosting's categories by the rows' own codes."""
    if not type(last).__name__.startswith("HistGradientBoosting") or last._preprocessor is None:
        return last
    found, preprocessor = copy.copy(last), copy.copy(last._preprocessor)
    (name, encoder, where), *rest = preprocessor.transformers_
    encoder = copy.copy(encoder)
    encoder.categories_ = [
        codes_of(known, columns[i], features[i])
        for i, known in zip(np.flatnonzero(last.is_categorical_), encoder.categories_, strict=True)
    ]
    preprocessor.transformers_ = [(name, encoder, where), *rest]
    found._preprocessor = preprocessor
    return found


def is_linear(outputs: Outputs, columns: int) -> bool:
    """Whether the first output is a weighted sum of the raw columns, by what its parts are."""
    last, name = outputs.last, type(outputs.last).__name__
    plain = name in _LINEAR or (
        name in ("NuSVC", "NuSVR", "SVC", "SVR") and last.kernel == "linear" and len(outputs.classes) <= 2
    )
    scored = next(iter(outputs.scores)) != "probability"
    return plain and scored and columns <= _MOST_COLUMNS and all(_is_affine(step) for step in outputs.steps)


def is_network(outputs: Outputs, columns: int) -> bool:
    """Whether it is a multilayer perceptron behind nothing but steps that a layer can stand for."""
    last, name = outputs.last, type(outputs.last).__name__
    sums = name == "MLPRegressor" and last.out_activation_ == "identity" and last.n_outputs_ == 1
    plain = sums or name == "MLPClassifier"
    return plain and columns <= _MOST_COLUMNS and all(_is_affine(step) for step in outputs.steps)


def line(answer: Callable[[np.ndarray], np.ndarray], columns: int) -> Line:
    """Weights (k, columns) and intercepts (k,) of an `answer` that is linear: its differences along each column."""
    found = answer(np.vstack([np.zeros(columns), np.eye(columns)]))
    return (found[1:] - found[0]).T, found[0]


def follows(line: Line, rows: np.ndarray, expected: np.ndarray) -> bool:
    """Whether a line gives `expected` (n, k) for `rows` (n, d), to rounding."""
    weights, intercepts = line
    return bool(np.abs(rows @ weights.T + intercepts - expected).max() <= 1e-8 * (1 + np.abs(expected).max()))


def line_module(outputs: Outputs, make: Callable[[np.ndarray], Any], line: Line) -> Any:
    """A linear model as a torch module, float32 (n, d) -> (n, k)."""
    weights, intercepts = line
    centre = _centre_of(*_prepared(outputs, make, weights.shape[1]))
    return _module(centre, [(weights, weights @ centre + intercepts)], "identity")


def network_module(outputs: Outputs, make: Callable[[np.ndarray], Any], columns: int) -> Any:
    """A multilayer perceptron before its last activation as a torch module, its scaler in the first layer."""
    scale, offsets = _prepared(outputs, make, columns)
    centre = _centre_of(scale, offsets)
    layers = [(weights.T, bias) for weights, bias in zip(outputs.last.coefs_, outputs.last.intercepts_, strict=True)]
    (first, bias), *rest = layers
    layers = [(first @ scale, first @ (scale @ centre + offsets) + bias), *rest]
    return _module(centre, layers, outputs.last.activation)


def _prepared(outputs: Outputs, make: Callable[[np.ndarray], Any], columns: int) -> Line:
    """The affine steps before the last, as weights (m, columns) and offsets (m,)."""

    def answer(rows: np.ndarray) -> np.ndarray:
        import scipy.sparse

        table = outputs.prepare(make(rows))
        return table.toarray() if scipy.sparse.issparse(table) else np.asarray(table, dtype=np.float64)

    return line(answer, columns)


def _centre_of(scale: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The row that the scaler turns into zeros: what it subtracts would, in float32, drown the little that is left."""
    return np.linalg.lstsq(scale, -offsets, rcond=None)[0]


def _module(centre: np.ndarray, layers: Sequence[Line], between: str) -> Any:
    """`layers` of weights (out, in) and bias, an activation between them; rows (n, *shape) are flattened and `centre`
    (d,) taken off first.
    """
    import torch
    from torch import nn

    activation = {"identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}[between]
    network = nn.Sequential(nn.Flatten(), _centre(centre))
    for number, (weights, bias) in enumerate(layers):
        if number:
            network.append(activation())
        linear = nn.Linear(weights.shape[1], weights.shape[0])
        linear.weight.data = torch.tensor(weights, dtype=torch.float32)
        linear.bias.data = torch.tensor(bias, dtype=torch.float32)
        network.append(linear)
    return network.eval().requires_grad_(False)


def _centre(centre: np.ndarray) -> Any:
    import torch

    class Centre(torch.nn.Module):
        """Rows (n, d) less their centre (d,)."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("centre", torch.tensor(centre, dtype=torch.float32))

        def forward(self, rows: Any) -> Any:
            return rows - self.centre

    return Centre()


def _is_affine(step: Any) -> bool:
    name = type(step).__name__
    if name in ("MaxAbsScaler", "MinMaxScaler"):
        return not vars(step).get("clip")
    if name == "ColumnTransformer":
        return all(_is_affine(inner) for _, inner, _ in step.transformers_)
    if name == "FeatureUnion":
        return all(_is_affine(inner) for _, inner in step.transformer_list)
    if name == "Pipeline":
        return all(_is_affine(inner) for _, inner in step.steps)
    return name in _SELECTS or name in _PROJECTS or _passes_through(step)


def _passes_through(step: Any) -> bool:
    if isinstance(step, str) or step is None:
        return True  # "passthrough", and "drop", which leaves columns out
    return type(step).__name__ == "FunctionTransformer" and step.func is None


def _starts_constant(boosted: Any) -> bool:
    return type(boosted.init_).__name__ in ("str", "DummyClassifier", "DummyRegressor")
