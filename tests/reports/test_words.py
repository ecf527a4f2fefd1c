"""The sentences: what they say, and what they must never say."""

import re
from dataclasses import replace

import numpy as np
import pytest

from core.likeness import Drift, Unlikeness
from core.measures import AttackChecks, Group, TokenEffect, fit
from core.nouns import MethodId, Target
from core.results import Agreement
from engine.subjects import load_subject
from reports import words
from reports.glossary import glossary, terms_in
from tests.reports.conftest import TEXT_EFFECTS, TEXT_ROW

MARGIN = Target(1, "margin")
ROW = np.array([31_000.0, 61.0, 3.0, np.nan, 1.0, 0.0])
EFFECTS = np.array([-0.33, 0.84, 0.42, 0.10, 0.05, 0.0])
DECLINED, APPROVED = np.array([1.18]), np.array([-0.2])
FORBIDDEN = re.compile(
    r"\bcaus|because|\bprove[ns]?\b|\bproof\b|\bfair|unbiased|% of the decision|guarante|\bsafe|tamper|\brobust\b"
    r"|trustworthy|correct explanation|!|\bbest\b|\bpowerful",
    re.IGNORECASE,
)


def attack_on_loans(loans, turned: bool = True, noise_turns: bool = False):
    moved, noise = ROW.copy(), ROW.copy()
    moved[1], noise[1] = 56.0, 66.0
    outputs = (DECLINED, APPROVED if turned else DECLINED, APPROVED if noise_turns else DECLINED)
    return loans.attacked(ROW, moved, noise, outputs, MARGIN)


def test_decision_headline_of_two_classes(loans) -> None:
    headline = words.decision_headline(loans.subject, loans.model, "1042", np.array([[0.895]]))
    assert headline == "Application 1042 was declined: score 0.71, cut-off 0.60."
    headline = words.decision_headline(loans.subject, loans.model, "7", np.array([-3.0]))
    assert headline == "Application 7 was approved: score 0.05, cut-off 0.60."


def test_decision_headline_of_many_classes(scans) -> None:
    headline = words.decision_headline(scans.subject, scans.model, "17", np.array([5.0, 0.5, -2.0]))
    assert headline == "Scan 17 was read as 3: probability 0.99, next 8 at 0.01."
    headline = words.decision_headline(scans.subject, scans.model, "17", np.array([25.0, 0.5, -2.0]))
    assert headline == "Scan 17 was read as 3: probability above 0.99, next 8 below 0.01."


def test_decision_headline_of_a_regression(houses) -> None:
    headline = words.decision_headline(houses.subject, houses.model, "5", np.array([212_000.4]))
    assert headline == "House 5 is valued at 212,000 EUR."
    plain = replace(houses.subject, verdicts=())
    headline = words.decision_headline(plain, houses.model, "5", np.array([-3.0]))
    assert headline == "House 5 has a predicted price of −3 EUR."


def test_a_prediction_stands_beside_what_the_data_say(houses) -> None:
    data = houses.subject.dataset
    labels = np.where(np.arange(len(data)) == 0, 200_000.0, np.nan)
    subject = replace(houses.subject, dataset=replace(data, labels=labels))
    first, _ = words.decision_paragraphs(subject, houses.model, "1000", np.array([212_000.0]), np.zeros((3, 1)))
    assert first == "Its price in the data is 200,000 EUR: the prediction lies 12,000 EUR above that."
    unknown, place = words.decision_paragraphs(subject, houses.model, "1001", np.array([212_000.0]), np.zeros((3, 1)))
    assert unknown == "The predicted price is 212,000 EUR."
    assert place == "3 of 3 reference houses have a lower prediction than this one."


def test_how_far_predictions_are_off(houses) -> None:
    truth = np.linspace(100_000, 300_000, 41)
    headline = words.performance_headline(houses.subject, houses.model, (truth + 5_000)[:, None], truth)
    assert headline == (
        "On 41 held-out houses the predicted price is off by 5,000 EUR on average (95% interval 5,000 to 5,000). "
        "R² is 0.993."
    )
    spec = houses.model.spec
    sentence = words.fit_sentence(spec, fit(truth, truth + 5_000))
    assert sentence.startswith("Saying the median price every time would be off by 51,220 EUR. R² is 0.993 (95%")
    assert words.fit_sentence(spec, fit(np.ones(5), np.zeros(5))).endswith("the true numbers are all alike.")


def test_a_what_if_of_a_prediction_and_of_a_text(houses, reviews) -> None:
    moved = words.what_if_headline(houses.subject, houses.model, np.array([2e5]), np.array([3e5]), [(1, 5.0)])
    assert moved == "With rooms 5 the predicted price moves from 200,000 EUR to 300,000 EUR."
    before, after = np.array([2.0, 0.0]), np.array([0.0, 1.0])
    hidden = words.hidden_words_headline(reviews.subject, reviews.model, before, after, ["dull"])
    assert hidden == "With “dull” hidden the decision turns from negative to positive: score 0.73, cut-off 0.50."
    assert words.hidden_words_headline(reviews.subject, reviews.model, before, after, []) == "Nothing is hidden yet."


def test_a_text_is_explained_by_its_words(reviews) -> None:
    found = reviews.attribution(TEXT_ROW, TEXT_EFFECTS, Target(1, "logit"), name="permutation_shap")
    assert words.drivers_paragraph(reviews.subject, reviews.model, found) == (
        "Compared with the same review with every word hidden, the score for positive was raised by “film” (+0.20), "
        "“s” (+0.02) and “the” (1 of 2; +0.01) and lowered by “dull” (−0.90). The figures are logits, the scores "
        "before they become probabilities; they are not percentage points."
    )
    line = words.proof_line(found, reviews.model.spec)
    assert "compared with itself, every word hidden" in line
    told = dict(words.ledger(found, reviews.subject, reviews.model))
    assert told["Reference"] == "the text itself, every word hidden" and "Perturbation" not in told


def test_the_words_that_matter_over_many_texts(reviews) -> None:
    spec, target = reviews.model.spec, Target(1, "logit")
    ranked = [TokenEffect(8, -0.9, 0.9, 4), TokenEffect(6, 0.2, 0.3, 3)]
    headline = words.tokens_headline(reviews.subject, reviews.model, target, ranked, 40)
    assert headline == "Over 40 reviews, the score for positive is moved most by “dull” (−0.90) and “film” (+0.20)."
    assert "“dull” (−0.90) in 4 texts" in words.tokens_alt(spec, target, ranked)
    assert words.tokens_headline(reviews.subject, reviews.model, target, [], 2).startswith("No word occurs often")


def test_target_phrases(loans, scans, houses) -> None:
    assert words.target_phrase(loans.model.spec, MARGIN) == "declined, in log-odds"
    assert words.target_phrase(scans.model.spec, Target(0, "probability")) == "3, in probability"
    assert words.target_phrase(houses.model.spec, Target(0, "value")) == "the predicted price, in EUR"


def test_statement_says_the_decision_the_factors_the_certainty_and_the_limits(loans) -> None:
    first = loans.attribution(ROW, EFFECTS, MARGIN, name="permutation_shap")
    second = loans.attribution(ROW, EFFECTS * 0.9, MARGIN, name="integrated_gradients", tolerance=0.01)
    decision, factors, sure, limits = words.statement(loans.subject, loans.model, first.output[:1], first, second)
    assert decision.startswith("Application 1042 was declined. The score is the model's probability of declined, 0.76.")
    assert factors.startswith(
        "Compared with 100 applications drawn with seed 7, the score for declined was raised by debt ratio 61 % "
        "(+0.84), payment history (late payments 3, oldest account missing; +0.52)"
    )
    assert "lowered by income 31,000 EUR (−0.33)" in factors
    assert "not percentage points" in factors
    assert "with nothing left over" in sure
    assert "Permutation SHAP and integrated gradients name 5 of the same top 5 features" in sure
    assert "not advice" in limits and limits.endswith("Not for decisions about people.")


def test_nothing_is_named_where_nothing_stands_out(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN, error=np.full((1, 6), 0.5))
    assert words.drivers_paragraph(loans.subject, loans.model, attribution) == (
        "No single factor moved the score for declined by more than this method leaves open, so none is named."
    )
    assert words.drivers_headline(loans.subject, loans.model, attribution).startswith("No single factor stands out")


def test_a_method_without_reference_says_what_it_does_not_say(loans) -> None:
    attribution = loans.attribution(
        ROW, EFFECTS, MARGIN, base=float("nan"), name="saliency", tolerance=None, output=np.array([1.18])
    )
    text = words.drivers_paragraph(loans.subject, loans.model, attribution)
    assert "reacts most strongly" in text and "does not say what raised or lowered" in text


def test_proof_line(loans) -> None:
    exact = loans.attribution(ROW, EFFECTS, MARGIN, name="linear_shap", output=np.array([0.1 + EFFECTS.sum() + 2e-9]))
    line = words.proof_line(exact, loans.model.spec)
    assert re.fullmatch(
        r"Linear SHAP, class declined, log-odds, 100 reference rows \(seed 7\), adds up to 2e-9, "
        r"[0-9a-f]{4} [0-9a-f]{4}",
        line,
    )
    loose = loans.attribution(ROW, EFFECTS, MARGIN, tolerance=None, error=np.full((1, 6), 0.01))
    line = words.proof_line(loose, loans.model.spec)
    assert "does not promise to add up, largest standard error 0.01" in line
    broken = loans.attribution(ROW, EFFECTS, MARGIN, output=np.array([3.0]))
    assert words.proof_line(broken, loans.model.spec).startswith("Warning: this explanation does not add up.")


def test_agreement_sentence() -> None:
    assert words.agreement_sentence(Agreement(5, 4, 1.0, 0.83), "Tree SHAP", "Integrated gradients") == (
        "Tree SHAP and integrated gradients name 4 of the same top 5 features and point the same way on all of those "
        "that either names; their rank correlation is 0.83, where 1 is the same order throughout."
    )
    constant = words.agreement_sentence(Agreement(5, 4, 0.5, float("nan")), "Tree SHAP", "DeepLIFT", "pixel")
    assert constant.endswith("top 5 pixels and point the same way on 50% of those that either names.")
    assert "and DeepLIFT" in constant


def test_attack_headlines_of_a_table(loans) -> None:
    headline = words.attack_headline(loans.subject, loans.model, attack_on_loans(loans))
    assert headline == (
        "A change of at most 5% of each feature's range turns the decision on this application from "
        "declined to approved. Random noise of the same size does not."
    )
    failed = words.attack_headline(loans.subject, loans.model, attack_on_loans(loans, turned=False))
    assert failed == (
        "No change of at most 5% of each feature's range was found that alters the decision on this application."
    )


def test_noise_that_turns_the_decision_is_said(loans) -> None:
    both = words.attack_headline(loans.subject, loans.model, attack_on_loans(loans, noise_turns=True))
    assert both.endswith("Random noise of the same size does so too.")
    only = words.attack_headline(loans.subject, loans.model, attack_on_loans(loans, turned=False, noise_turns=True))
    assert only.endswith("Random noise of that size does change it.")


def test_attack_headline_of_a_picture(scans) -> None:
    row = np.full((8, 8, 1), 8.0)
    outputs = (np.array([5.0, 1, 0]), np.array([0.0, 3, 0]), np.array([5.0, 1, 0]))
    attacked = scans.attacked(row, row + 2.4, row - 2.4, outputs, Target(0, "logit"), size=0.15)
    headline = words.attack_headline(scans.subject, scans.model, attacked)
    assert headline.startswith(
        "A change of at most 2.4 of 16 in each pixel turns the decision on this scan from 3 to 8."
    )


def test_a_failed_attack_is_no_verdict(loans) -> None:
    attacked = attack_on_loans(loans, turned=False)
    comparison = loans.comparison(attacked, (EFFECTS, EFFECTS, EFFECTS), MARGIN)
    assert (
        "does not mean that there is nothing to find"
        in words.attack_statement(loans.subject, loans.model, comparison)[-1]
    )


def test_ledger_holds_every_choice_and_every_digest(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN, facts={"device": "cpu"})
    lines = dict(words.ledger(attribution, loans.subject, loans.model))
    assert lines["Explained"] == "declined, in log-odds"
    assert lines["Reference"] == "100 rows, drawn with seed 7"
    assert lines["Reference digest"] == attribution.query.reference.digest
    assert lines["Model digest"] == loans.model.spec.digest
    assert lines["Question digest"] == attribution.query.digest
    assert lines["Result digest"] == attribution.digest
    assert lines["Seed"] == "3" and lines["Option: steps"] == "50" and lines["Device"] == "cpu"
    attacked = dict(words.ledger(attack_on_loans(loans), loans.subject, loans.model))
    assert attacked["Size allowed"] == "at most 5% of each feature's range (linf 0.05)"
    assert attacked["Decisions changed"] == "1 of 1 by the attack, 0 by noise"


def test_headlines_of_the_whole_model(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN)
    assert words.importance_headline(loans.subject, loans.model, attribution).startswith(
        "On average over 1 application, the score for declined is moved most by debt ratio (0.84 log-odds), then by"
    )
    outputs, labels = np.array([[2.0], [-2.0], [2.0], [-2.0]]), np.array([1, 0, 0, 1])
    assert words.performance_headline(loans.subject, loans.model, outputs, labels) == (
        "On 4 held-out applications decision and label agree on 2 (50%). Decided otherwise: 1 of 2 labelled declined, "
        "1 of 2 labelled approved."
    )
    text = words.robustness_sentence(loans.subject, loans.model, attack_on_loans(loans), np.array([1]))
    assert text.startswith("Of 1 application, 1 are decided as labelled. After a change of at most 5% of each feature")
    assert "0 still are, after random noise of the same size 1." in text


def test_what_if_headline(loans) -> None:
    text = words.what_if_headline(loans.subject, loans.model, DECLINED, APPROVED, [(0, 40_000.0)])
    assert text == ("With income 40,000 EUR the decision turns from declined to approved: score 0.45, cut-off 0.60.")


def every_sentence(loans, scans, houses) -> list[str]:
    """All that words can say about three kinds of subject, well and badly."""
    said: list[str] = []
    cases = [
        (loans, ROW, EFFECTS, MARGIN, DECLINED),
        (scans, scans.subject.dataset.rows[0], np.linspace(-1, 2, 64), Target(0, "logit"), np.array([5.0, 1, 0])),
        (houses, np.array([80.0, 3.0]), np.array([2.0, -1.0]), Target(0, "value"), np.array([9.0])),
    ]
    for world, row, effects, target, outputs in cases:
        subject, model = replace(world.subject, limits=""), world.model
        given = (subject, model)
        good = world.attribution(row, effects, target, name="linear_shap")
        errors = (np.full((1, *model.spec.shape), size) for size in (0.01, 9.0))
        odd = [world.attribution(row, effects, target, name="permutation_shap", error=error) for error in errors]
        odd += [
            world.attribution(row, effects, target, output=np.array([99.0])),
            world.attribution(row, effects, target, base=float("nan"), tolerance=None, name="saliency"),
        ]
        for each in (good, *odd):
            said += words.statement(*given, outputs, each, good)
            said += [
                words.proof_line(each, model.spec),
                words.drivers_headline(*given, each),
                words.attribution_alt(*given, each),
                words.importance_headline(*given, each),
            ]
            said += [text for line in words.ledger(each, *given) for text in line]
        said += [
            words.decision_headline(*given, "1", outputs),
            words.decision_sentence(*given, outputs),
            words.population_sentence(*given, outputs, np.tile(outputs, (5, 1))),
            words.what_if_headline(*given, outputs, outputs, [(0, 1.0)]),
        ]
    for turned in (True, False):
        attacked = attack_on_loans(loans, turned)
        comparison = loans.comparison(attacked, (EFFECTS, -EFFECTS, EFFECTS), MARGIN)
        said += words.attack_statement(loans.subject, loans.model, comparison)
        said += [
            words.attack_headline(loans.subject, loans.model, attacked),
            words.robustness_sentence(loans.subject, loans.model, attacked, np.array([1])),
        ]
    return said


def test_no_sentence_claims_more_than_was_computed(loans, scans, houses) -> None:
    for sentence in every_sentence(loans, scans, houses):
        assert not FORBIDDEN.search(sentence), sentence
        assert "nan" not in sentence.lower().split(), sentence


@pytest.mark.parametrize("term", list(glossary()))
def test_every_term_is_one_plain_sentence(term: str) -> None:
    sentence = glossary()[term]
    assert sentence.endswith(".") and sentence.count(". ") == 0
    assert not FORBIDDEN.search(sentence)
    assert len(sentence) <= 160


def test_a_report_prints_the_terms_it_uses() -> None:
    assert set(terms_in(["In log-odds, by SHAP."])) == {"log-odds", "SHAP"}
    assert set(terms_in(["Croce based it on logits; its residuals"])) == {"logit", "residual"}


def test_rows_are_called_held_out_only_where_that_is_known():
    sample = load_subject("tumours")
    rows = len(sample.dataset.judged)
    assert words.judged_sentence(sample, rows, 1) == f"{rows} held-out rows, none of them used in training."
    unknown = replace(sample, dataset=replace(sample.dataset, split_known=False))
    said = words.judged_sentence(unknown, 100, 1)
    assert said.startswith(f"100 rows with a true answer, drawn with seed 1 from {rows}.")
    assert "not known" in said and "held-out" not in said


# --- what is unlike the data, attacks and groups ----------------------------------------------------------------------


def unlikeness(outside: tuple[int, ...] = (), distance: float = 0.6) -> Unlikeness:
    return Unlikeness(np.array([0.1, distance]), 0.4, ((), outside))


def test_a_row_unlike_the_data_is_named_with_what_is_strange(loans, scans, reviews) -> None:
    def said(world, *given) -> str:
        return words.unlike_sentence(world.subject, world.model, "7", unlikeness(*given), 1)

    end = ". Nothing shows how the model does on such cases. Have a person look at it."
    assert words.unlike_sentence(loans.subject, loans.model, "7", unlikeness(), 0) == ""
    assert said(loans) == (
        "Application 7 is unlike the data: its distance to the applications most like it is 0.60, and 99% of the "
        f"applications lie within 0.40{end}"
    )
    assert said(loans, (0,)) == f"Application 7 is unlike the data: income lies outside what the data hold{end}"
    assert "income, debt ratio and late payments lie outside" in said(loans, (0, 1, 2))
    assert "1 pixel lies outside the range" in said(scans, (3,))
    assert said(reviews) == (
        "Review 7 is unlike the data: 60% of its words are in no other review; of 99% of the reviews at most 40% are"
        f"{end}"
    )


def hiding(world, *places: int):
    spec = world.model.spec
    features = tuple(replace(each, hidden=place in places) for place, each in enumerate(spec.features))
    return replace(world.model, spec=replace(spec, features=features))


def test_a_hidden_column_is_not_named_as_what_is_strange(loans) -> None:
    def said(*outside: int) -> str:
        return words.unlike_sentence(loans.subject, hiding(loans, 0, 2), "7", unlikeness(outside), 1)

    assert "7 is unlike the data: it lies outside what the data hold." in said(0) == said(0, 2)
    assert "7 is unlike the data: debt ratio lies outside what the data hold." in said(0, 1)


def test_what_an_attack_moved_most_is_named_without_hidden_values(loans) -> None:
    moved = ROW + [20_000, 20, 0, 0, 0, 0]
    attacked = loans.attacked(ROW, moved, ROW, (DECLINED, APPROVED, DECLINED), MARGIN)
    comparison = loans.comparison(attacked, (EFFECTS,) * 3, MARGIN)
    told = " ".join(words.attack_statement(loans.subject, hiding(loans, 0), comparison))
    assert "Changed most: debt ratio from " in told and "income (hidden)." in told


def test_a_reference_unlike_the_data_is_named_with_its_features(loans, scans) -> None:
    def said(world, features=(), answers=False, repeated=0) -> str:
        return words.drift_sentence(world.subject, world.model, Drift(np.ones(9), features, answers, repeated))

    assert words.drift_sentence(loans.subject, loans.model, None) == said(loans) == ""
    assert said(loans, (1, 0), True, 3) == (
        "Warning: the reference is not like the applications of the data: it differs in the true answers, debt "
        "ratio and income, and 3 of its rows are there more than once. What is compared with it may mislead. Draw one "
        "with a seed."
    )
    assert "differs in income, debt ratio, late payments, oldest account, purpose and 1 more" in said(loans, range(6))
    assert "data: 1 of its rows is there more than once." in said(loans, repeated=1)
    assert "it differs in the upper centre" in said(scans, (1,))


def test_checks_that_an_attack_fails_are_said_one_by_one(loans, scans) -> None:
    def said(world, *found) -> list[str]:
        return words.attack_checks_sentences(world.model, MethodId("pgd", "1"), AttackChecks(*found))

    assert said(loans, True, (), True, 0) == [
        "Projected gradient (PGD) behaves as an attack should: more turn at a larger size, no other attack turns more, "
        "noise turns no more and all turn without a limit."
    ]
    assert said(loans, None, None, True, None) == [
        "Projected gradient (PGD) behaves as an attack should: noise turns no more."
    ]
    failed = said(loans, False, ("fgsm", "random_search"), False, 2)
    assert len(failed) == 4 and failed[1].startswith("Fast gradient (FGSM) and random search turned more")
    assert failed[3].endswith("every value may move through its whole range: the attack stops short.")
    fixed = replace(loans.model.spec, features=(replace(loans.model.spec.features[0], mutable=False),))
    (only,) = words.attack_checks_sentences(
        replace(loans.model, spec=fixed), MethodId("pgd", "1"), AttackChecks(True, (), True, 1)
    )
    assert only.startswith("1 decision holds") and "what may not be changed keeps them" in only
    assert not [text for text in (*failed, only, *said(scans, True, (), True, 0)) if FORBIDDEN.search(text)]


def test_groups_have_names(loans) -> None:
    income, *_, purpose, guarantor = loans.model.spec.features

    def name(feature, lower: float, upper: float) -> str:
        return words.group_name(feature, Group(np.ones(1), lower, upper, None, None, None, None))

    assert name(income, 1000, 2000) == "1,000 to 2,000 EUR"
    assert (name(purpose, 1, 1), name(guarantor, 1, 1), name(income, np.nan, np.nan)) == ("house", "yes", "missing")
