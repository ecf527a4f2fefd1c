"""What holds for every explainer in the list, on every kind of model it takes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core import codec
from core.errors import UserFacingError
from core.options import options_of
from core.results import rank_correlation
from core.scores import scales, score
from explainers import EXPLAINERS, explainer
from explainers.base import Explainer, RawAttribution
from tests.explainers.cases import SIZE, Case, cases, network, with_reference

NAMES = [kind.name for kind in EXPLAINERS]
APPLIES = [(kind, case) for kind in EXPLAINERS for case in cases() if kind().refusal(case.model.spec) is None]
REFUSES = [(kind, case) for kind in EXPLAINERS for case in cases() if kind().refusal(case.model.spec)]


def on(pairs):
    """Runs a test for each explainer with each of its cases."""
    return pytest.mark.parametrize(("kind", "case"), pairs, ids=[f"{kind.name}-{case.name}" for kind, case in pairs])


def each_explainer(test):
    """Runs a test for each explainer."""
    return pytest.mark.parametrize("kind", EXPLAINERS, ids=NAMES)(test)


# The list


def test_every_explainer_applies_to_some_case():
    assert {kind for kind, _ in APPLIES} == set(EXPLAINERS)


def test_names_are_unique_and_found():
    assert len(set(NAMES)) == len(NAMES)
    assert [type(explainer(name)) for name in NAMES] == list(EXPLAINERS)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UserFacingError) as refused:
        explainer("lime")
    assert all(name in str(refused.value) for name in NAMES)


@each_explainer
def test_it_says_what_it_is(kind):
    assert kind.title and kind.version and kind.family in ("shap", "captum")
    assert kind.summary.endswith(".")
    assert any(character.isdigit() for character in kind.source), "the source names a year"


@each_explainer
def test_every_option_is_documented_and_bounded(kind):
    for option in options_of(kind):
        assert option.label and option.help.endswith(".")
        if option.kind in ("integer", "real"):
            assert option.low is not None and option.high is not None
            assert option.low <= option.default <= option.high
        assert option.parse(str(option.default) if option.kind != "choice" else option.default) == option.default


@each_explainer
def test_options_are_kept_in_the_method_and_unknown_ones_refused(kind):
    assert [name for name, _ in kind().method.options] == [option.name for option in options_of(kind)]
    with pytest.raises(UserFacingError, match="has no option called 'colour'"):
        explainer(kind.name, colour=1)


# The answer


@on(APPLIES)
def test_the_answer_has_the_rows_shape_and_the_models_scores(kind, case):
    query = case.query()
    found = kind().explain(case.model, query)
    assert found.values.shape == case.rows.shape
    assert found.error is None or found.error.shape == case.rows.shape and (found.error >= 0).all()
    spec, target = case.model.spec, query.target
    np.testing.assert_array_equal(found.output, score(case.model.predict(case.rows), target, spec))
    if kind.needs_reference:
        np.testing.assert_allclose(found.base, score(case.model.predict(case.reference), target, spec).mean())
    else:
        assert np.isnan(found.base).all()


@on(APPLIES)
def test_the_same_question_has_the_same_answer(kind, case):
    query = case.query()
    assert kind().explain(case.model, query).digest == kind().explain(case.model, query).digest


@on(APPLIES)
def test_a_rows_answer_does_not_hang_on_its_neighbours(kind, case):
    together = kind().explain(case.model, case.query()).values[1]
    alone = kind().explain(case.model, case.query(rows=case.rows[1:2])).values[0]
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


@on([(kind, case) for kind, case in APPLIES if "trees" in case.model.spec.capabilities])
def test_a_rows_answer_about_trees_is_the_same_to_the_last_bit_among_others(kind, case):
    together = kind().explain(case.model, case.query(rows=np.concatenate([case.rows] * 5)))
    for index, row in enumerate(case.rows):
        alone = kind().explain(case.model, case.query(rows=row[None]))
        np.testing.assert_array_equal(alone.values[0], together.values[index])
        np.testing.assert_array_equal(alone.output[0], together.output[index])


@on(APPLIES)
def test_model_and_rows_are_left_as_they_were(kind, case):
    query = case.query()
    before = case.model.predict(case.rows), case.rows.copy(), case.reference.copy(), _inside(case)
    kind().explain(case.model, query)
    after = case.model.predict(case.rows), case.rows, case.reference, _inside(case)
    for was, now in zip(before[:3], after[:3], strict=True):
        np.testing.assert_array_equal(was, now)
    assert before[3] == after[3]


def _inside(case: Case) -> list:
    """What a method could leave behind in a network: hooks, attributes, gradients, modes."""
    if "gradients" not in case.model.spec.capabilities:
        return []
    parts = [
        (name, part.training, sorted(vars(part)), len(part._forward_hooks), len(part._backward_hooks))
        for name, part in case.model.module().named_modules()
    ]
    weights = [
        (name, weight.requires_grad, weight.grad is None, weight.detach().numpy().tobytes())
        for name, weight in case.model.module().named_parameters()
    ]
    return parts + weights


@on(APPLIES)
def test_it_adds_up_within_its_tolerance_on_every_scale_and_output(kind, case):
    spec = case.model.spec
    for scale in kind().scales(spec):
        for output in range(max(1, len(spec.classes))):
            found = kind().explain(case.model, case.query(output=output, scale=scale))
            assert found.complete is (None if kind.tolerance is None else True), (scale, output, found.residual)


@on(APPLIES)
def test_before_and_after_differ_by_what_the_score_differs(kind, case):
    if kind.tolerance is None:
        return
    moved = case.rows + 0.3 * np.random.default_rng(8).normal(size=case.rows.shape)
    clean, after = (kind().explain(case.model, case.query(rows=rows)) for rows in (case.rows, moved))
    by_values = (after.values - clean.values).reshape(len(moved), -1).sum(axis=1)
    by_score = after.output - clean.output
    np.testing.assert_allclose(by_values, by_score, atol=2 * kind.tolerance * max(clean.spread, after.spread))


@on([(kind, case) for kind, case in APPLIES if case.model.spec.modality == "table"])
def test_a_feature_that_is_never_read_gets_nothing(kind, case):
    found = kind().explain(case.model, case.query())
    if found.error is None:
        np.testing.assert_allclose(found.values[:, -1], 0.0, atol=1e-6)
    else:
        assert (np.abs(found.values[:, -1]) <= 4 * found.error[:, -1] + 1e-6).all()


@on(APPLIES)
def test_an_answer_survives_being_stored(kind, case):
    found = kind().explain(case.model, case.query())
    again = codec.load(codec.dump(found))
    assert again.digest == found.digest
    np.testing.assert_array_equal(again.values, found.values)
    assert json.loads(json.dumps(dict(found.facts))) == dict(found.facts)


@on(APPLIES)
def test_progress_rises_to_one(kind, case):
    shares: list[float] = []
    kind().explain(case.model, case.query(), shares.append)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert all(0.0 <= share <= 1.0 for share in shares)


# The refusals


@on(REFUSES)
def test_a_refusal_names_a_method_that_applies(kind, case):
    sentence = kind().refusal(case.model.spec)
    named = [other for other in EXPLAINERS if other.name in sentence]
    assert named and all(other().refusal(case.model.spec) is None for other in named)
    with pytest.raises(UserFacingError) as refused:
        kind().explain(case.model, case.query())
    assert sentence.rstrip(".") in str(refused.value)


@on(APPLIES)
def test_a_scale_it_cannot_explain_is_refused(kind, case):
    for scale in set(scales(case.model.spec)) - set(kind().scales(case.model.spec)):
        with pytest.raises(UserFacingError, match="scale"):
            kind().explain(case.model, case.query(scale=scale))


@on([(kind, case) for kind, case in APPLIES if kind.needs_reference])
def test_no_reference_is_refused(kind, case):
    for query in (replace(case.query(), reference=None), with_reference(case.query(), case.reference[:0])):
        with pytest.raises(UserFacingError, match="needs reference rows"):
            kind().explain(case.model, query)


# The sanity check of Adebayo et al. 2018, section 3: what does not change with the weights explains nothing


class Unmoved(Explainer):
    """Looks at the rows and never at the model: what the check has to find."""

    name, title, version, family, summary, source = "unmoved", "Unmoved", "1", "shap", "None.", "None, 2026"
    tolerance = None

    def refusal(self, spec):
        return None

    def _run(self, model, query, progress):
        return RawAttribution(query.rows * np.arange(1.0, 1.0 + query.rows.shape[1]))


def likeness_after_randomising(kind: type[Explainer]) -> float:
    """The mean rank correlation of absolute attributions by a network and by others of random weights.

    Rows and reference are corners of a centred cube, so that no feature is larger than another and
    all likeness is the method's.
    """
    corners = np.sign(np.random.default_rng(6).normal(size=(4, 4 * SIZE)))
    case = Case("corners", network((4 * SIZE,), seed=0), corners[:2], np.vstack([corners, -corners]))
    values = kind().explain(case.model, case.query()).values
    found = []
    for seed in range(1, 16):
        others = kind().explain(network((4 * SIZE,), seed=seed), case.query()).values
        found += [rank_correlation(np.abs(a[:-1]), np.abs(b[:-1])) for a, b in zip(values, others, strict=True)]
    return float(np.mean(found))


@each_explainer
def test_it_changes_with_the_weights(kind):
    if kind().refusal(network().spec) is None:
        assert abs(likeness_after_randomising(kind)) < 0.2


def test_a_method_that_does_not_look_at_the_weights_is_flagged():
    assert likeness_after_randomising(Unmoved) == pytest.approx(1.0)
