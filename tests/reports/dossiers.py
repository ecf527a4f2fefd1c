"""Files on whole models made by hand, of each kind of subject."""

from dataclasses import replace

import numpy as np

from core.nouns import MethodId, Target
from core.results import Attacked, Attribution, Prediction
from core.scores import decide
from engine.questions import (
    attack_query,
    explain_query,
    prediction_query,
    resampled_queries,
    shifted_queries,
    swap_query,
)
from reports.dossier import Chosen, Dossier
from reports.reasons import Grounds, candidates
from tests.reports.conftest import World

_SIZES = (0.025, 0.05, 0.1)


def dossier(world: World, seed: int = 0) -> Dossier:
    """One of the world's first 40 rows: a linear model with seeded weights, every answer as it would give it."""
    subject, model, spec = world.subject, world.model, world.model.spec
    rng = np.random.default_rng(seed)
    spans = np.array([feature.span for feature in spec.features])
    weights = rng.normal(size=(spec.columns, len(spans))) / spans
    labels = rng.integers(0, max(len(spec.classes), 1), len(subject.dataset.rows))
    if not spec.classes:
        labels = rng.random(len(labels)) * 3
    subject = replace(subject, dataset=replace(subject.dataset, labels=labels))

    def outputs(rows: np.ndarray) -> np.ndarray:
        return np.nan_to_num(rows.reshape(len(rows), -1)) @ weights.T

    def predicted(query) -> Prediction:
        return Prediction(query, MethodId("predict", "1"), outputs(query.rows))

    target = Target(min(1, spec.columns - 1) if spec.output != "margin" else 1, spec.natural_scale)
    column = 0 if spec.columns == 1 else target.output

    def explained(query, name="linear_shap") -> Attribution:
        rows, reference = (np.nan_to_num(each.reshape(len(each), -1)) for each in (query.rows, query.reference.rows))
        values = (rows - reference.mean(axis=0)) * weights[column]
        base = np.full(len(rows), float((reference.mean(axis=0) * weights[column]).sum()))
        shaped = values.reshape(query.rows.shape)
        return Attribution(query, MethodId(name, "1"), shaped, base, values.sum(axis=1) + base, tolerance=1e-6)

    def attacked(query, size: float, name: str = "random_search") -> Attacked:
        step = size * spans.reshape(spec.shape) * np.sign(weights[column]).reshape(spec.shape)
        moved, noise = query.rows + step, query.rows - step
        answers = [outputs(rows) for rows in (query.rows, moved, noise)]
        if spec.classes:
            classes = [decide(each, spec, subject.cutoff) for each in answers]
        distance = np.full(len(query), size)
        return Attacked(
            query,
            MethodId(name, "1"),
            "linf",
            size,
            moved,
            noise,
            distance,
            distance,
            *answers,
            *classes,
            10 * len(query),
        )

    reference, rows = subject.reference(), range(40)
    judged = predicted(prediction_query(subject, model, rows))
    cases = tuple(Chosen(kind, place) for place, kind in enumerate(("typical", "borderline", "wrong", "unlike")))
    text = spec.vocabulary is not None
    groups = [[each.position] for each in cases] if text else [[each.position for each in cases]]
    grounds, seconds = [], []
    for positions in groups:
        query = explain_query(subject, model, positions, target, reference)
        first = explained(query)
        others = () if text else tuple(explained(each) for each in resampled_queries(subject, query, 3))
        for index in range(len(positions)):
            parts = [each.positions for each in candidates(first, spec, index)]
            grounds.append(Grounds(index, first, predicted(swap_query(query, index, parts)), others))
        seconds.append(replace(first, method=MethodId("occlusion", "1"), tolerance=None))
    attacks, shifted = (), ()
    if spec.classes and not text:
        query = attack_query(subject, model, rows[:12])
        attacks = tuple(attacked(query, size) for size in _SIZES)
        asked = explain_query(subject, model, rows[:3], target, reference)
        shifted = tuple(
            explained(each) for each in shifted_queries(asked, attacked(attack_query(subject, model, rows[:3]), 0.05))
        )
    return Dossier(
        subject,
        model,
        target,
        judged,
        predicted(prediction_query(subject, model, range(40, 140 if len(subject.dataset) > 140 else 100))),
        None if text else explained(explain_query(subject, model, rows, target, reference)),
        cases,
        tuple(grounds),
        tuple(seconds),
        attacks,
        attacked(attack_query(subject, model, rows[:12]), 1.0) if attacks else None,
        shifted,
    )
