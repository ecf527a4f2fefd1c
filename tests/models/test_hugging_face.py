"""Hugging Face folders: told apart, opened without their own code, and the same numbers as transformers gives."""

import struct
import zipfile

import numpy as np
import pytest

from core.errors import UserFacingError
from core.nouns import Feature, ModelSpec, Query, Reference, Target, Vocabulary
from explainers import explainer
from models import encode_texts, hugging_face, inspect_model, load_model
from tests.models.texts import CLASSES, SHAPES, classifier, folder, planted, sentences, with_config, zipped


def read(data: bytes, texts: list[str]) -> tuple[np.ndarray, ModelSpec]:
    """Texts as rows, and the specification that their subject would have."""
    found = encode_texts("hugging_face", data, texts)
    rows = np.full((len(texts), max(map(len, found["ids"]))), float(found["pad"]))
    for row, ids in zip(rows, found["ids"], strict=True):
        row[: len(ids)] = ids
    pieces = tuple((int(token), piece) for token, piece in found["pieces"].items())
    vocabulary = Vocabulary(pieces, found["mask"], found["pad"], tuple(found["special"]))
    features = tuple(Feature(f"token_{i + 1}", "token", upper=rows.max()) for i in range(rows.shape[1]))
    classes = inspect_model(data).classes
    spec = ModelSpec("text", rows.shape[1:], features, classes, "logit", "e" * 64, vocabulary=vocabulary)
    return rows, spec


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return folder(*classifier())


def test_the_folder_says_what_it_is(files) -> None:
    facts = inspect_model(zipped(files, "model/"))
    assert (facts.format, facts.modality, facts.shape, facts.columns) == ("hugging_face", "text", (0,), 2)
    assert (facts.classes, facts.outputs, facts.capabilities) == (CLASSES, ("logit",), ())
    assert facts.notes == ("Texts are read up to 64 tokens; what comes after is cut off.",)


@pytest.mark.parametrize("kind", SHAPES)
def test_texts_get_the_numbers_of_transformers_own_pipeline(kind: str) -> None:
    from transformers import pipeline

    network, tokenizer = classifier(kind)
    data, texts = zipped(folder(network, tokenizer)), sentences(1000 if kind == "bert" else 150, seed=1)
    rows, spec = read(data, texts)
    outputs = load_model("hugging_face", data, spec, {}).predict(rows)
    own = pipeline("text-classification", model=network, tokenizer=tokenizer, top_k=None, function_to_apply="none")
    expected = [{each["label"]: each["score"] for each in found} for found in own(texts, batch_size=50)]
    np.testing.assert_allclose(outputs, [[each[name] for name in CLASSES] for each in expected], atol=1e-5)
    assert outputs.std(axis=0).min() > 1e-3, "texts differ"


def test_how_texts_stand_together_does_not_matter(files) -> None:
    data, texts = zipped(files), sentences(40, seed=2)
    rows, spec = read(data, [*texts, " ".join(["film"] * 30)])
    model = load_model("hugging_face", data, spec, {})
    together = model.predict(rows)
    np.testing.assert_allclose([model.predict(row[None])[0] for row in rows], together, atol=1e-6)
    again = model.predict(np.concatenate([rows[:1]] * 5 + [rows]))
    assert (again[:5] == again[5]).all(), "the same text in one call gets the same bits"


def test_pieces_are_printed_as_people_read_them() -> None:
    for kind, text in (("bert", "the film, was dull."), ("roberta", "the film was dull")):
        data = zipped(folder(*classifier(kind)))
        rows, spec = read(data, [text])
        assert spec.vocabulary.text(rows[0]) == text
        hidden = spec.vocabulary.masked(rows)[0]
        assert "film" not in spec.vocabulary.text(hidden) and "[hidden]" in spec.vocabulary.text(hidden)
        assert (hidden[~spec.vocabulary.ordinary(rows[0])] == rows[0][~spec.vocabulary.ordinary(rows[0])]).all()


def test_long_texts_are_cut_and_counted(files) -> None:
    found = encode_texts("hugging_face", zipped(files), ["film " * 500, "film"])
    assert [len(ids) for ids in found["ids"]] == [64, 3]
    assert found["cut"] == 1
    assert found["ids"][0][-1] == found["ids"][1][-1], "the end of the text is still marked"


def test_an_empty_text_is_a_text(files) -> None:
    data = zipped(files)
    rows, spec = read(data, ["", "film"])
    assert np.isfinite(load_model("hugging_face", data, spec, {}).predict(rows)).all()


def test_a_planted_word_takes_the_mass() -> None:
    data = zipped(folder(*planted("great")))
    rows, spec = read(data, ["the film was great and the story felt long", "a dull film with a slow plot"])
    model = load_model("hugging_face", data, spec, {})
    shares = model.predict(rows)
    assert shares[0, 1] - shares[0, 0] > 3 and shares[1, 1] - shares[1, 0] < -3
    reference = Reference(spec.vocabulary.masked(rows[:1]), ("hidden",))
    query = Query(spec.digest, rows[:1], ("0",), Target(1, "logit"), reference)
    places = np.flatnonzero([spec.vocabulary.piece(token).strip() == "great" for token in rows[0]])
    for name in ("permutation_shap", "occlusion"):
        found = explainer(name).explain(model, query)
        mass = np.abs(found.values[0])
        assert mass[places].sum() >= 0.95 * mass.sum(), name
        outside = ~spec.vocabulary.ordinary(rows[0])
        assert outside.any() and (mass[outside] == 0).all(), "padding and frame get exactly nothing"
    assert explainer("permutation_shap").explain(model, query).complete


# --- what is refused -------------------------------------------------------------------------------------------------


LYING = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,8]}}'
REFUSED = {
    "code of its own": ({"modeling.py": b"import os"}, "no code of a model is ever run"),
    "a pickle beside": ({"pytorch_model.bin": b"PK"}, "only model.safetensors is read"),
    "arguments of training": ({"training_args.bin": b"PK"}, "only model.safetensors is read"),
    "split weights": ({"model-00001-of-00002.safetensors": b"x"}, "split into several files"),
    "an index": ({"model.safetensors.index.json": b"{}"}, "split into several files"),
    "a way out": ({"../config.json": b"{}"}, "outside its folder"),
    "a way out on Windows": ({"..\\config.json": b"{}"}, "outside its folder"),
    "an absolute place": ({"/config.json": b"{}"}, "outside its folder"),
    "no JSON": ({"config.json": b"{"}, "not readable JSON"),
    "deep JSON": ({"config.json": b"[" * 200_000}, "not readable JSON"),
    "another JSON": ({"config.json": b"[1]"}, "does not hold what"),
    "a broken tokenizer": ({"tokenizer.json": b"{}"}, "tokenizer.json cannot be read"),
    "broken weights": ({"model.safetensors": b"\x10\0\0\0\0\0\0\0{}"}, "model.safetensors is damaged"),
    "weights that claim more": (
        {"model.safetensors": struct.pack("<Q", len(LYING)) + LYING + b"12345678"},
        "model.safetensors is damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_with_more_or_less_than_it_should_is_refused(files, name: str) -> None:
    changes, sentence = REFUSED[name]
    data = zipped(files | changes)
    rows, spec = read(zipped(files), ["film"])
    with pytest.raises(UserFacingError, match=sentence) as refused:
        inspect_model(data)
        load_model("hugging_face", data, spec, {})
        encode_texts("hugging_face", data, ["film"])
    assert refused.value.remedy


CONFIGS = {
    "auto_map": ({"auto_map": {"AutoModel": "x.Y"}}, "no code of a model is ever run"),
    "unknown network": ({"model_type": "gpt2"}, "Its network is a 'gpt2'"),
    "another task": ({"architectures": ["BertForMaskedLM"]}, "does not decide on texts"),
    "one output": ({"id2label": {"0": "x"}}, "predicts a number from a text"),
    "regression": ({"problem_type": "regression"}, "predicts a number from a text"),
    "several labels": ({"problem_type": "multi_label_classification"}, "several labels at once"),
    "quantised": ({"quantization_config": {"bits": 4}}, "quantised"),
    "endless layers": ({"num_hidden_layers": 10**9}, "sets num_hidden_layers to 1e"),
    "endless width": ({"hidden_size": 10**12}, "sets hidden_size to 1e"),
    "more layers than weights": ({"num_hidden_layers": 3}, "is missing from its weights"),
    "another width": ({"intermediate_size": 65}, "is torch.float32 .* and not"),
    "an odd activation": ({"hidden_act": "eval"}, "does not describe a network"),
    "text for a number": ({"hidden_size": "many"}, "does not describe a network"),
    "no vocabulary": ({"vocab_size": None}, "no usable vocab_size"),
    "classes from 1": ({"id2label": {"1": "a", "2": "b"}}, "number its classes from 0"),
    "classes by letter": ({"id2label": {"a": "a", "b": "b"}}, "something else than numbers"),
    "two classes alike": ({"id2label": {"0": "a", "1": "a"}}, "two alike"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_asks_for_something_else_is_refused(files, name: str) -> None:
    changes, sentence = CONFIGS[name]
    _, spec = read(zipped(files), ["film"])
    data = zipped(with_config(files, **changes))
    with pytest.raises(UserFacingError, match=sentence):
        inspect_model(data)
        load_model("hugging_face", data, spec, {})


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_is_missing_is_named(files, name: str) -> None:
    data = zipped({each: body for each, body in files.items() if each != name})
    with pytest.raises(UserFacingError, match=f"holds no {name}"):
        hugging_face.inspect(data)


def test_a_zip_that_unpacks_without_end_is_refused_before_it_does(files) -> None:
    with pytest.raises(UserFacingError, match="unpacks to"):
        inspect_model(zipped(files | {"config.json": b" " * (2 << 20)}))


def test_damage_anywhere_is_a_sentence(files) -> None:
    data = zipped(files)
    _, spec = read(data, ["film"])
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 30):
        hurt = bytearray(data)
        hurt[at] ^= 255
        try:
            load_model("hugging_face", bytes(hurt), spec, {})
        except UserFacingError as refused:
            assert refused.why
    with pytest.raises(UserFacingError):
        inspect_model(data[: len(data) // 2])


def test_other_zips_are_not_taken_for_one(files) -> None:
    assert hugging_face.recognises(zipped(files)) and hugging_face.recognises(zipped(files, "model/"))
    assert not hugging_face.recognises(zipped({"config.json": b"{}", "model.weights.h5": b""}))
    assert not hugging_face.recognises(b"") and not hugging_face.recognises(b"PK\3\4" + b"\0" * 60)
    assert zipfile.is_zipfile(__file__) is False


def test_the_subject_must_agree(files) -> None:
    from dataclasses import replace

    data = zipped(files)
    _, spec = read(data, ["film"])
    wrong = {
        "logits and the subject says": replace(spec, classes=("a", "b", "c")),
        "pads with": replace(spec, vocabulary=replace(spec.vocabulary, pad=9)),
        "tokens at most": replace(spec, shape=(500,), features=(Feature("t", "token"),) * 500),
    }
    for sentence, each in wrong.items():
        with pytest.raises(UserFacingError, match=sentence):
            load_model("hugging_face", data, each, {})
    with pytest.raises(UserFacingError, match="takes no settings"):
        load_model("hugging_face", data, spec, {"pad": 0})
    with pytest.raises(UserFacingError, match="none of its"):
        load_model("hugging_face", data, spec, {}).predict(np.array([[10_000.0, 1, 2]]))
