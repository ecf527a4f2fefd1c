"""Small subjects made by hand: loans (a table, two classes), scans (pictures, three classes), houses (a predicted
price), reviews (text, two classes).
"""

from dataclasses import dataclass

import numpy as np
import pytest

from core.nouns import Dataset, Feature, MethodId, ModelFile, ModelSpec, Query, Reference, Subject, Target, Vocabulary
from core.results import Attacked, Attribution, Comparison, Prediction
from core.scores import decide
from engine.questions import population_query

LOAN_FEATURES = (
    Feature("income", "real", "income", "EUR", lower=0, upper=250_000, decimals=0),
    Feature("debt", "real", "debt ratio", "%", lower=0, upper=100, decimals=0),
    Feature("late", "integer", "late payments", group="payment history", upper=20),
    Feature("oldest", "real", "oldest account", "years", group="payment history", upper=40, decimals=1, missing=True),
    Feature("purpose", "category", "purpose", categories=("car", "house", "other"), upper=2),
    Feature("guarantor", "boolean", "guarantor"),
)
LOAN_ROW = np.array([31_000.0, 61.0, 3.0, np.nan, 1.0, 0.0])
LOAN_EFFECTS = np.array([-0.33, 0.84, 0.42, 0.10, 0.05, 0.0])


@dataclass(frozen=True)
class World:
    """A subject with its one model and ready-made results."""

    subject: Subject
    model: ModelFile

    def query(self, row: np.ndarray, target: Target, row_id: str = "1042", size: int = 100) -> Query:
        return Query(
            self.model.spec.digest,
            row[None],
            (row_id,),
            target,
            self.subject.reference(size),
            seed=3,
            cutoff=self.subject.cutoff,
        )

    def attribution(
        self,
        row: np.ndarray,
        effects: np.ndarray,
        target: Target,
        base: float = 0.1,
        name: str = "tree_shap",
        **fields: object,
    ) -> Attribution:
        values = effects.reshape(1, *self.model.spec.shape)
        settings = {"tolerance": 1e-6, "output": np.array([base + effects.sum()]), **fields}
        return Attribution(
            self.query(row, target), MethodId(name, "1.0", (("steps", 50),)), values, np.array([base]), **settings
        )

    def prediction(self, rows: np.ndarray, outputs: np.ndarray) -> Prediction:
        ids = tuple(str(i) for i in range(len(rows)))
        query = Query(self.model.spec.digest, rows, ids, Target(0, self.model.spec.natural_scale))
        return Prediction(query, MethodId("predict", "1"), outputs)

    def population(self, reference: Reference, outputs: np.ndarray) -> Prediction:
        """What the model says about the rows of a reference."""
        return Prediction(population_query(self.model, reference), MethodId("predict", "1"), outputs)

    def attacked(
        self,
        row: np.ndarray,
        moved: np.ndarray,
        noise: np.ndarray,
        outputs: tuple[np.ndarray, ...],
        target: Target,
        size: float = 0.05,
    ) -> Attacked:
        """`outputs`: clean, attacked and noise, each (columns,)."""
        spec, cutoff = self.model.spec, self.subject.cutoff
        spans = np.array([feature.span for feature in spec.features]).reshape(spec.shape)
        clean_out, moved_out, noise_out = (each[None] for each in outputs)
        return Attacked(
            self.query(row, target),
            MethodId("pgd", "1.0", (("steps", 40),)),
            "linf",
            size,
            moved[None],
            noise[None],
            np.nanmax(np.abs(moved - row) / spans, keepdims=True).ravel(),
            np.nanmax(np.abs(noise - row) / spans, keepdims=True).ravel(),
            clean_out,
            moved_out,
            noise_out,
            decide(clean_out, spec, cutoff),
            decide(moved_out, spec, cutoff),
            decide(noise_out, spec, cutoff),
            120,
            {"device": "cpu"},
        )

    def comparison(self, attacked: Attacked, effects: tuple[np.ndarray, ...], target: Target) -> Comparison:
        rows = (attacked.query.rows[0], attacked.perturbed[0], attacked.noise[0])
        return Comparison(
            attacked,
            *(
                self.attribution(row, each, target, name="integrated_gradients", tolerance=0.01)
                for row, each in zip(rows, effects, strict=True)
            ),
        )


def world(
    title: str,
    noun: str,
    spec: ModelSpec,
    rows: np.ndarray,
    cutoff: float | None = None,
    verdicts: tuple[str, ...] = (),
) -> World:
    ids = tuple(str(1000 + i) for i in range(len(rows)))
    data = Dataset(rows, ids, np.zeros(len(rows)), np.ones(len(rows)))
    model = ModelFile("first", "Gradient-boosted trees", "xgboost", "model.json", spec)
    subject = Subject(
        title.lower(),
        title,
        f"{title} made by hand.",
        noun,
        data,
        (model,),
        cutoff,
        verdicts=verdicts,
        limits="Not for decisions about people.",
    )
    return World(subject, model)


@pytest.fixture
def loans() -> World:
    spec = ModelSpec("table", (6,), LOAN_FEATURES, ("approved", "declined"), "margin", "a" * 64)
    rows = np.random.default_rng(0).random((200, 6)) * [90_000, 100, 5, 20, 2, 1]
    return world("Loans", "application", spec, rows.round(), 0.6, ("was approved", "was declined"))


@pytest.fixture
def scans() -> World:
    pixels = tuple(Feature(f"pixel_{i}", "pixel", upper=16) for i in range(64))
    spec = ModelSpec("image", (8, 8, 1), pixels, ("3", "8", "9"), "logit", "b" * 64)
    return world("Scans", "scan", spec, np.random.default_rng(1).integers(0, 17, (120, 8, 8, 1)).astype(float))


@pytest.fixture
def houses() -> World:
    features = (Feature("area", "real", unit="m2"), Feature("rooms", "integer"))
    outcome = Feature("price", unit="EUR", decimals=0)
    spec = ModelSpec("table", (2,), features, (), "value", "c" * 64, outcome=outcome)
    rows = np.random.default_rng(2).random((120, 2)) * [200, 8]
    return world("Houses", "house", spec, rows, verdicts=("is valued at",))


PIECES = ((0, " [PAD]"), (1, " [CLS]"), (2, " [SEP]"), (5, " the"), (6, " film"), (7, "s"), (8, " dull"), (9, "."))
TEXT_ROW = np.array([1.0, 5, 6, 7, 5, 8, 9, 2, 0, 0])
TEXT_EFFECTS = np.array([0.0, 0.01, 0.20, 0.02, 0.0, -0.90, 0.0, 0, 0, 0])


@pytest.fixture
def reviews() -> World:
    vocabulary = Vocabulary(PIECES, mask=3, pad=0, special=(0, 1, 2))
    features = tuple(Feature(f"token_{i + 1}", "token", upper=9.0) for i in range(10))
    classes = ("negative", "positive")
    spec = ModelSpec("text", (10,), features, classes, "logit", "d" * 64, vocabulary=vocabulary)
    return world("Reviews", "review", spec, np.repeat(TEXT_ROW[None], 110, axis=0))
