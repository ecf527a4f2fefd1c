"""SHAP values of tree ensembles, exact against the whole reference: our engine, and shap's as a cross-check."""

from dataclasses import dataclass
from typing import final

import numpy as np

from core.errors import UserFacingError
from core.models import Model, TreeEnsemble
from core.nouns import ModelSpec, Query, Target
from explainers.base import Explainer, Progress, RawAttribution


@final
@dataclass(frozen=True)
class TreeShap(Explainer):
    """Interventional SHAP of XGBoost, LightGBM and scikit-learn trees, on the scale on which they add up.

    The reference rows enter as a histogram of which features of a leaf's path they fail, so that
    nothing is sampled and one more row costs a look-up (`explainers.trees`).
    """

    name = "tree_shap"
    title = "Exact tree SHAP"
    version = "1"
    family = "shap"
    summary = "Exact for tree ensembles, against every reference row, on the scale on which the trees add up."
    source = "Lundberg et al. 2020, From Local Explanations to Global Understanding, interventional Tree SHAP"
    tolerance = 1e-6

    def refusal(self, spec: ModelSpec) -> str | None:
        return _refusal(spec)

    def scales(self, spec: ModelSpec) -> tuple[str, ...]:
        return (spec.natural_scale,)

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        from explainers.trees.engine import engine_for
        from explainers.trees.read import as_seen

        assert isinstance(model, TreeEnsemble)
        native = model.trees()
        key = (model.spec.digest, query.reference.digest, _column(query.target))
        engine = engine_for(key, native, _flat(query.reference.rows))
        values = _sign(query.target) * engine.values(as_seen(native, _flat(query.rows)), progress).T
        facts = {"engine": engine.way, "trees": len(engine.forest.roots) - 1}
        return RawAttribution(values.reshape(query.rows.shape), facts=facts)


@final
@dataclass(frozen=True)
class TreeShapLibrary(Explainer):
    """The same question put to `shap.TreeExplainer`, with the whole reference: a second opinion, slow.

    shap rounds thresholds to single precision, so that a value that all but equals one may go the
    other way than in the model, and it allows itself a larger residual.
    """

    name = "tree_shap_library"
    title = "Tree SHAP by the shap library"
    version = "1"
    family = "shap"
    summary = "The shap library's own interventional engine, to check the exact one against; much slower."
    source = "Lundberg et al. 2020, From Local Explanations to Global Understanding, interventional Tree SHAP"
    tolerance = 1e-4

    def refusal(self, spec: ModelSpec) -> str | None:
        return _refusal(spec)

    def scales(self, spec: ModelSpec) -> tuple[str, ...]:
        return (spec.natural_scale,)

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        import shap

        from explainers.trees.read import as_seen, read_forest

        assert isinstance(model, TreeEnsemble)
        native, column = model.trees(), _column(query.target)
        # shap compares in double precision and cuts a reference to 100 rows unless told otherwise.
        rows, reference = (as_seen(native, _flat(each.rows)).T.copy() for each in (query, query.reference))
        if read_forest(native, column, rows.shape[1]).kind.any():
            raise _beyond_shap("Some of its splits are by category or take zero for missing")
        whole = shap.maskers.Independent(reference, max_samples=len(reference))
        try:
            explainer = shap.TreeExplainer(native, whole, model_output="raw", feature_perturbation="interventional")
            values = np.asarray(explainer.shap_values(rows, check_additivity=False), np.float64)
        except (NotImplementedError, shap.utils._exceptions.InvalidModelError) as error:
            raise _beyond_shap(str(error)) from error
        if values.ndim == 3:
            values = values[:, :, column]
        elif model.spec.columns > 1:
            raise _beyond_shap("It adds up the trees of all classes, as of a LightGBM model with more than two")
        progress(1.0)
        values = _sign(query.target) * values.reshape(query.rows.shape)
        return RawAttribution(values, facts={"engine": f"shap {shap.__version__}"})


def _beyond_shap(why: str) -> UserFacingError:
    return UserFacingError("The shap library cannot explain this model", why, "Use tree_shap")


def _refusal(spec: ModelSpec) -> str | None:
    if "trees" in spec.capabilities:
        return None
    return "It reads decision trees, which this model does not have: use permutation_shap."


def _flat(rows: np.ndarray) -> np.ndarray:
    """Rows (n, *shape) as trees see them, (n, d)."""
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:])))


def _column(target: Target) -> int:
    """The column of the margin that is explained; of a two-class margin there is only one."""
    return 0 if target.scale == "margin" else target.output


def _sign(target: Target) -> float:
    return -1.0 if target.scale == "margin" and target.output == 0 else 1.0
