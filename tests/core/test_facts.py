"""What a worker says of a file is believed only where it can be."""

from dataclasses import replace

import pytest

from core.facts import Column, DataFacts, Input, ModelFacts, as_json, data_facts, model_facts

MODEL = ModelFacts("onnx", "A network", "table", (2,), 1, ("margin",), "told", inputs=(Input("a"), Input("b", "real")))
DATA = DataFacts("csv", "CSV", 3, (Column("a", "real", "numbers", lower=0.0, upper=1.5),), "0" * 64)


def test_facts_come_back_as_they_were() -> None:
    assert model_facts(as_json(MODEL)) == MODEL
    assert data_facts(as_json(DATA)) == DATA


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": "9"}, {"columns": 10**9}, {"columns": True}, {"outputs": []}, {"outputs": ["banana"]},
        {"notes": [9]}, {"title": None}, {"shape": [2.5]}, {"shape": [10**9]}, {"inputs": [{"name": "a"}]},
        {"inputs": [{"name": 1, "kind": None, "categories": []}]}, {"capabilities": ["magic"]}, {"modality": "sound"},
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_is_not_believed(wrong: dict) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        model_facts(as_json(MODEL) | wrong)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"rows": "3"}, {"columns": None}, {"shape": [0, 8, 1]}, {"lower": "x"}])
def test_data_that_cannot_be_are_not_believed(wrong: dict) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        data_facts(as_json(DATA) | wrong)
    with pytest.raises((ValueError, KeyError, TypeError)):
        data_facts(as_json(replace(DATA, columns=(Column("a", "real", "numbers", lower=float("nan")),))))
