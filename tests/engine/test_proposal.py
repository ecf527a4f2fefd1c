"""How columns are matched to a model's inputs, and what is asked instead of guessed."""

from dataclasses import replace

import pytest

from core.errors import UserFacingError
from core.facts import Column, DataFacts, Input, ModelFacts
from engine.proposal import propose

AGE = Column("age", "integer", "whole numbers", distinct=40, lower=18, upper=75)
INCOME = Column("income", "real", "numbers", distinct=90, lower=612.5, upper=19_874.25, decimals=2)
HOME = Column("home", "category", "3 names", distinct=3, categories=("owns", "rents", "shares"), examples=("rents",))
NOTES = Column("notes", "text", "text", distinct=95, examples=("late again",))
ID = Column("case_id", "integer", "whole numbers", distinct=100, lower=1, upper=100)
ANSWER = Column("decision", "category", "2 names", distinct=2, categories=("approved", "declined"))
DATA = DataFacts("csv", "CSV", 100, (ID, AGE, INCOME, HOME, ANSWER), "0" * 64)
NAMED = ModelFacts(
    "sklearn", "a pipeline", "table", (3,), 1, ("margin", "probability"), "told by the file",
    inputs=(Input("income", "real"), Input("age", "real"), Input("home", "category", ("rents", "owns", "shares"))),
    classes=("approved", "declined"),
)  # fmt: skip
NAMELESS = replace(NAMED, inputs=(Input(),) * 3, classes=())


def said(error: pytest.ExceptionInfo) -> str:
    return str(error.value)


def test_columns_are_matched_by_name_in_the_order_of_the_model() -> None:
    found = propose(NAMED, DATA, "decision")
    assert [each.name for each in found.features] == ["income", "age", "home"]
    assert found.features[2].categories == ("rents", "owns", "shares")  # the model's codes, not the alphabet
    assert found.classes == ("approved", "declined")
    assert (found.wanted.label, found.wanted.id) == ("decision", "case_id")
    assert any("another order" in each for each in found.warnings)


def test_a_missing_column_is_named_and_never_guessed() -> None:
    with pytest.raises(UserFacingError, match="no column 'home'"):
        propose(NAMED, replace(DATA, columns=(ID, AGE, INCOME, ANSWER)), "decision")


def test_a_missing_answer_is_named() -> None:
    with pytest.raises(UserFacingError, match="no column 'verdict'"):
        propose(NAMED, DATA, "verdict")


def test_a_model_without_names_takes_the_columns_in_order_and_says_so() -> None:
    numbers = replace(DATA, columns=(ID, AGE, INCOME, replace(INCOME, name="savings"), ANSWER))
    found = propose(NAMELESS, numbers, "decision")
    assert [each.name for each in found.features] == ["age", "income", "savings"]
    assert any("taken in their order: age, income, savings" in each for each in found.warnings)
    assert any("0 is approved, 1 is declined" in each for each in found.warnings + found.lasting)


def test_a_model_without_names_and_another_number_of_columns_asks() -> None:
    with pytest.raises(UserFacingError, match="names none of its 3 inputs, and 2 columns are left"):
        propose(NAMELESS, replace(DATA, columns=(AGE, INCOME, ANSWER)), "decision")
    wider = replace(DATA, columns=(AGE, INCOME, replace(INCOME, name="a"), replace(INCOME, name="b"), ANSWER))
    with pytest.raises(UserFacingError, match="4 columns are left"):
        propose(NAMELESS, wider, "decision")
    order = {"feature": [{"name": name} for name in ("b", "age", "a")]}
    assert [each.name for each in propose(NAMELESS, wider, "decision", order).features] == ["b", "age", "a"]


def test_names_for_codes_are_asked_for_never_guessed() -> None:
    coded = replace(NAMED, inputs=(Input("income"), Input("age"), Input("home", "real")))
    with pytest.raises(UserFacingError, match="The model reads a number there, and the column holds 'rents'"):
        propose(coded, DATA, "decision")
    unsaid = replace(NAMED, inputs=(Input("income"), Input("age"), Input("home")))
    with pytest.raises(UserFacingError, match="which code stands for which name"):
        propose(unsaid, DATA, "decision")
    order = {"feature": [{"name": "home", "kind": "category", "categories": ["shares", "rents", "owns"]}]}
    assert propose(coded, DATA, "decision", order).features[2].categories == ("shares", "rents", "owns")


def test_what_a_person_says_of_a_column_wins() -> None:
    more = {"name": "age", "unit": "years", "mutable": False, "direction": "up", "lower": 0, "upper": 120}
    age = propose(NAMED, DATA, "decision", {"feature": [more]}).features[1]
    assert (age.unit, age.mutable, age.direction, age.lower, age.upper) == ("years", False, "up", 0, 120)
    assert age.kind == "real"  # as the model's file says, whatever the column looks like


def test_bounds_hold_every_value_and_are_round() -> None:
    income = propose(NAMED, DATA, "decision").features[0]
    assert (income.lower, income.upper) == (0.0, 20_000.0)
    constant = replace(DATA, columns=(ID, AGE, replace(INCOME, lower=5.0, upper=5.0, distinct=1), HOME, ANSWER))
    assert propose(NAMED, constant, "decision").features[0].upper > 5.0


def test_what_is_known_to_bear_on_decisions_is_marked_protected() -> None:
    assert [each.protected for each in propose(NAMED, DATA, "decision").features] == [False, True, False]


def test_columns_that_are_left_out_constant_or_missing_are_named() -> None:
    columns = (ID, replace(AGE, missing=7), replace(INCOME, distinct=1), HOME, NOTES, ANSWER)
    warnings = " ".join(propose(NAMED, replace(DATA, columns=columns), "decision").warnings)
    assert "left out: notes" in warnings
    assert "same value in every row: income" in warnings
    assert "age (7)" in warnings


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (replace(ANSWER, categories=("a", "b", "c"), distinct=3), "are called differently"),
        (replace(INCOME, name="decision", distinct=90), "is no class"),
    ],
)
def test_an_answer_that_is_no_class_of_the_model_is_refused(column: Column, sentence: str) -> None:
    with pytest.raises(UserFacingError, match=sentence):
        propose(NAMED, replace(DATA, columns=(ID, AGE, INCOME, HOME, column)), "decision")


def test_one_class_only_is_said() -> None:
    one = replace(ANSWER, categories=("approved",), distinct=1)
    found = propose(NAMED, replace(DATA, columns=(ID, AGE, INCOME, HOME, one)), "decision")
    assert any("one class only" in each for each in found.warnings)


def test_a_number_or_a_class_is_told_by_the_answer() -> None:
    open_ended = replace(NAMELESS, outputs=("margin", "value"), inputs=(Input(),) * 2)
    table = replace(DATA, columns=(AGE, INCOME, ANSWER))
    assert propose(open_ended, table, "decision").readings[0].output == "margin"
    number = replace(DATA, columns=(AGE, INCOME, replace(INCOME, name="price")))
    found = propose(open_ended, number, "price")
    assert (found.readings[0].output, found.classes) == ("value", ())


def test_settings_that_the_file_leaves_open_become_readings() -> None:
    picture = ModelFacts(
        "onnx", "a network", "image", (0, 0, 1), 10, ("logit",), "told", ask={"divide": (255, 1)},
        settings={"layout": "channels_first"}, capabilities=("gradients",),
    )  # fmt: skip
    pictures = DataFacts("images", "pictures", 60, (replace(ANSWER, name="label", categories=tuple("0123456789"), distinct=10),), "0" * 64, shape=(8, 8, 1), upper=255)  # fmt: skip # noqa: E501
    found = propose(picture, pictures)
    assert [each.settings["divide"] for each in found.readings] == [255, 1]
    assert all(each.settings["layout"] == "channels_first" for each in found.readings)
    told = propose(picture, pictures, "", {"model": [{"settings": {"divide": 1}}]})
    assert [dict(each.settings) for each in told.readings] == [{"layout": "channels_first", "divide": 1}]
    with pytest.raises(UserFacingError, match="reads pictures of 28 x 28 x 1"):
        propose(replace(picture, shape=(28, 28, 1)), pictures)
    with pytest.raises(UserFacingError, match="reads pictures and the data is a table"):
        propose(picture, DATA, "decision")


def test_numbers_with_which_nothing_can_be_computed_are_refused() -> None:
    huge = replace(INCOME, lower=-1e308, upper=1e308)
    with pytest.raises(UserFacingError, match="nothing can be computed"):
        propose(NAMED, replace(DATA, columns=(ID, AGE, huge, HOME, ANSWER)), "decision")


def test_classes_that_are_called_differently_are_asked_for_never_put_in_an_order() -> None:
    short = replace(DATA, columns=(ID, AGE, INCOME, HOME, replace(ANSWER, categories=("A", "D"))))
    with pytest.raises(
        UserFacingError, match="The model's are approved, declined, in this order, and the column holds A, D"
    ):
        propose(NAMED, short, "decision")
    assert propose(NAMED, short, "decision", {"subject": {"classes": ["A", "D"]}}).classes == ("A", "D")
    numbered = replace(NAMED, classes=("1", "2"))
    codes = replace(DATA, columns=(ID, AGE, INCOME, HOME, replace(ANSWER, categories=("0", "1"))))
    with pytest.raises(UserFacingError, match="are called differently"):
        propose(numbered, codes, "decision")


@pytest.mark.parametrize("answers", [("0.0", "1.0"), ("0", "1"), ("False", "True")])
def test_one_class_may_be_written_in_several_ways(answers: tuple[str, ...]) -> None:
    written = replace(DATA, columns=(ID, AGE, INCOME, HOME, replace(ANSWER, categories=answers)))
    for own in (("0", "1"), ("False", "True")):
        assert propose(replace(NAMED, classes=own), written, "decision").classes == own


def test_what_is_said_of_a_column_that_is_none_is_not_lost() -> None:
    with pytest.raises(UserFacingError, match="'agee'"):
        propose(NAMED, DATA, "decision", {"feature": [{"name": "agee", "mutable": False}]})
    with pytest.raises(UserFacingError, match="It is there twice"):
        propose(NAMED, DATA, "decision", {"feature": [{"name": "age"}, {"name": "age"}]})


@pytest.mark.parametrize(("low", "high"), [(1.7e12 + 123, 1.7e12 + 173), (1.6e15, 1.6e15 + 12_345), (0.1, 0.1 + 1e-9)])
def test_bounds_hold_the_data_whatever_its_size(low: float, high: float) -> None:
    narrow = replace(DATA, columns=(ID, AGE, replace(INCOME, lower=low, upper=high), HOME, ANSWER))
    found = propose(NAMED, narrow, "decision").features[0]
    assert found.lower <= low < high <= found.upper


@pytest.mark.parametrize("column", [replace(AGE, duplicate_of="decision"), AGE])
def test_an_answer_that_the_model_is_given_is_said(column: Column) -> None:
    answer = ANSWER if column.duplicate_of else replace(ANSWER, duplicate_of="age")
    found = propose(NAMED, replace(DATA, columns=(ID, column, INCOME, HOME, answer)), "decision")
    assert any("given" in each and "answer" in each for each in found.warnings)


def test_a_category_of_one_name_is_refused() -> None:
    one = replace(HOME, categories=("owns",), distinct=1)
    inputs = (*NAMED.inputs[:2], Input("home", "category"))
    with pytest.raises(UserFacingError, match="holds 'owns' in every row"):
        propose(replace(NAMED, inputs=inputs), replace(DATA, columns=(ID, AGE, INCOME, one, ANSWER)), "decision")


def test_a_name_that_is_written_otherwise_is_pointed_at() -> None:
    spaced = replace(DATA, columns=(ID, AGE, replace(INCOME, name="In come"), HOME, ANSWER))
    with pytest.raises(UserFacingError, match="'In come' looks like 'income'"):
        propose(NAMED, spaced, "decision")


def test_whole_numbers_that_the_model_reads_as_names_become_categories() -> None:
    zips = replace(AGE, name="home", categories=("100", "101"))
    inputs = (*NAMED.inputs[:2], Input("home", "category"))
    named = replace(NAMED, inputs=inputs)
    found = propose(named, replace(DATA, columns=(ID, AGE, INCOME, zips, ANSWER)), "decision").features[2]
    assert (found.kind, found.categories) == ("category", ("100", "101"))
    many = replace(zips, categories=())
    assert (
        propose(named, replace(DATA, columns=(ID, AGE, INCOME, many, ANSWER)), "decision").features[2].kind == "integer"
    )
