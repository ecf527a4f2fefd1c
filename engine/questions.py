"""The questions that the page, the command line and the report all ask, built in one place."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attacks import ATTACKS
from attacks.base import Attack
from core.errors import UserFacingError
from core.nouns import ModelFile, ModelSpec, Query, Reference, Subject, Target
from core.results import Attacked
from core.scores import decide
from explainers import EXPLAINERS
from explainers.base import Explainer

ATTACK_SIZES = {"table": 0.05, "image": 0.15, "text": 0.1}


def explainers_for(spec: ModelSpec) -> list[type[Explainer]]:
    """The explainers that apply to such a model, in the order of the list."""
    return [kind for kind in EXPLAINERS if kind().refusal(spec) is None]


def attack_refusals(spec: ModelSpec) -> list[tuple[str, str]]:
    """Every attack that does not apply to such a model, by its title, and the sentence why."""
    refusals = ((kind.title, kind().refusal(spec)) for kind in ATTACKS)
    return [(title, sentence) for title, sentence in refusals if sentence is not None]


def attacks_for(spec: ModelSpec) -> list[type[Attack]]:
    """The attacks that apply to such a model, the strongest first."""
    fitting = [kind for kind in ATTACKS if kind().refusal(spec) is None]
    return sorted(fitting, key=lambda kind: kind.name != "pgd")


def default_pair(spec: ModelSpec) -> tuple[type[Explainer], type[Explainer]]:
    """The first fitting explainer of each family: exact SHAP where there is one, and Captum beside it."""
    fitting = explainers_for(spec)
    firsts = [next((kind for kind in fitting if kind.family == family), None) for family in ("shap", "captum")]
    if None in firsts:
        raise UserFacingError(
            "This model cannot be explained twice",
            "No method of one of the two families applies to it",
            "Choose another model",
        )
    return firsts[0], firsts[1]


def prediction_query(subject: Subject, model: ModelFile, positions: Sequence[int] | np.ndarray) -> Query:
    """What the model says about the rows at these positions of the data."""
    chosen = np.asarray(positions, dtype=np.int64)
    ids = tuple(subject.dataset.row_ids[i] for i in chosen)
    spec = model.spec
    return Query(spec.digest, subject.dataset.rows[chosen], ids, Target(0, spec.natural_scale))


def population_query(model: ModelFile, reference: Reference) -> Query:
    """What the model says about the reference rows."""
    spec = model.spec
    return Query(spec.digest, reference.rows, reference.row_ids, Target(0, spec.natural_scale))


def explain_query(
    subject: Subject,
    model: ModelFile,
    positions: Sequence[int] | np.ndarray,
    target: Target,
    reference: Reference,
    seed: int = 0,
) -> Query:
    """Why the score of the target is what it is, for the rows at these positions.

    A text is compared with itself, every word hidden, whatever the reference; so texts are asked about one by one.
    """
    asked = prediction_query(subject, model, positions)
    if model.spec.vocabulary is not None:
        if len(asked) > 1:
            raise UserFacingError(
                f"{len(asked):,} texts cannot be explained in one question",
                "Each is compared with itself, every word hidden",
                "Ask about one at a time",
            )
        reference = subject.masked(int(positions[0]), model.spec.vocabulary)
    return Query(model.spec.digest, asked.rows, asked.row_ids, target, reference, seed)


def attack_query(subject: Subject, model: ModelFile, positions: Sequence[int] | np.ndarray, seed: int = 0) -> Query:
    """Whether the decisions about the rows at these positions can be changed."""
    asked = prediction_query(subject, model, positions)
    return Query(model.spec.digest, asked.rows, asked.row_ids, asked.target, None, seed, subject.cutoff)


def shifted_queries(query: Query, attacked: Attacked) -> tuple[Query, Query, Query]:
    """The same question about the clean, the attacked and the noisy rows: as many as it asks about, the first ones."""
    after, noise = (replace(query, rows=rows[: len(query)]) for rows in (attacked.perturbed, attacked.noise))
    return query, after, noise


def swap_query(query: Query, index: int, parts: Sequence[Sequence[int]], most: int = 8_000_000) -> Query:
    """What the model says about the row at `index` of an explained `query` and about it with one part swapped.

    After the row itself come, for each of the `parts` (positions in the flattened row), the row with that part at the
    values of each reference row; of at most so many of these, evenly spaced, that all rows hold `most` numbers.
    """
    row, reference = query.rows[index].ravel(), query.reference
    fitting = max(1, most // max(1, len(parts) * len(row)))
    chosen = np.unique(np.linspace(0, len(reference) - 1, min(fitting, len(reference))).round().astype(int))
    swapped = np.tile(row, (len(parts), len(chosen), 1))
    for number, part in enumerate(parts):
        swapped[number][:, list(part)] = reference.rows.reshape(len(reference), -1)[np.ix_(chosen, list(part))]
    rows = np.vstack([row[None], swapped.reshape(-1, len(row))]).reshape(-1, *query.rows.shape[1:])
    row_id = query.row_ids[index]
    ids = [f"{row_id}, part {part} as in {reference.row_ids[i]}" for part in range(1, len(parts) + 1) for i in chosen]
    return Query(query.model, rows, (row_id, *ids), query.target)


def resampled_queries(subject: Subject, query: Query, count: int) -> list[Query]:
    """The same question against other references of the same size, drawn with the seeds after the one named.

    None where there are no others: the reference was not drawn, or it is all of the data.
    """
    reference = query.reference
    if reference.seed is None or len(reference) >= len(subject.dataset):
        return []
    seeds = range(reference.seed + 1, reference.seed + 1 + count)
    return [replace(query, reference=subject.reference(len(reference), seed)) for seed in seeds]


def default_class(subject: Subject, model: ModelFile, outputs: np.ndarray) -> int:
    """The class to explain: the one the cut-off is about, else the decided one. `outputs`: one row's."""
    if len(model.spec.classes) <= 2:
        return len(model.spec.classes) - 1 if model.spec.classes else 0
    return int(decide(outputs, model.spec, subject.cutoff)[0])


def default_survey(spec: ModelSpec) -> type[Explainer]:
    """The explainer for many rows at once: exact where it can be, else the quickest that adds up."""
    fitting = {kind.name: kind for kind in explainers_for(spec)}
    quickest = "occlusion" if spec.modality == "text" else "permutation_shap"
    for name in ("tree_shap", "linear_shap", "deeplift", quickest):
        if name in fitting:
            return fitting[name]
    return next(iter(fitting.values()))
