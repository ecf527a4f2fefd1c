"""Every kind of model, trained elsewhere, exported, taken in by `assay.py check`, explained and attacked.

Each is held to its own library's predictions on 1,000 rows.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import assay
from attacks import attack
from core.nouns import Subject, Target
from core.scores import probabilities
from engine.engine import Engine, Question
from engine.predict import Predict
from engine.questions import attack_query, default_survey, explain_query, prediction_query
from engine.subjects import load_subject
from explainers import explainer

ROWS = 1_000


@dataclass(frozen=True)
class Exported:
    """A model's file and data, and what its own library says: probabilities (n, classes), or values (n, 1)."""

    model: Path
    data: Path
    expected: np.ndarray
    target: str = "answer"
    method: str = "permutation_shap"
    attack: str = "random_search"
    gradients: bool = False
    corrections: str = ""


def numbers(classes: int = 2) -> tuple[pd.DataFrame, np.ndarray]:
    """1,000 rows of four numbers with an answer that follows from them, but for some noise."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(ROWS, 4)).round(4), columns=["width", "height", "depth", "weight"])
    score = frame["width"] - 0.7 * frame["height"] + 0.5 * frame["depth"] * frame["weight"] + rng.normal(0, 0.3, ROWS)
    return frame, np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))


def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    """1,000 applications: numbers with some missing, names, yes or no."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "income": rng.lognormal(8, 0.4, ROWS).round(2),
            "age": rng.integers(18, 76, ROWS),
            "home": rng.choice(["owns", "rents", "shares"], ROWS),
            "country": rng.choice(["DE", "FR", "NA"], ROWS),
        }
    )
    score = frame["income"] / 3000 + frame["home"].eq("owns") - frame["country"].eq("NA") + rng.normal(0, 0.3, ROWS)
    frame.loc[rng.random(ROWS) < 0.1, "income"] = np.nan
    return frame, (score > score.median()).astype(int).to_numpy()


def written(folder: Path, frame: pd.DataFrame, answers: np.ndarray | list) -> Path:
    """The table as a CSV file with the true answer as its last column."""
    frame.assign(answer=answers).to_csv(folder / "data.csv", index=False)
    return folder / "data.csv"


def two(chance: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - chance, chance])


def skops(folder: Path, estimator: object, classes: int = 2, pipeline: bool = False, **more: object) -> Exported:
    import skops.io

    frame, answers = mixed() if pipeline else numbers(classes)
    estimator.fit(frame, answers)
    skops.io.dump(estimator, folder / "model.skops")
    return Exported(folder / "model.skops", written(folder, frame, answers), estimator.predict_proba(frame), **more)


def logistic(folder: Path) -> Exported:
    from sklearn.linear_model import LogisticRegression

    return skops(folder, LogisticRegression(), method="linear_shap", attack="pgd", gradients=True)


def support_vectors(folder: Path) -> Exported:
    import skops.io
    from sklearn.svm import SVC

    frame, answers = numbers()
    model = SVC().fit(frame, answers)
    skops.io.dump(model, folder / "model.skops")
    margin = model.decision_function(frame)
    return Exported(folder / "model.skops", written(folder, frame, answers), two(1 / (1 + np.exp(-margin))))


def decision_tree(folder: Path) -> Exported:
    from sklearn.tree import DecisionTreeClassifier

    return skops(folder, DecisionTreeClassifier(max_depth=4, random_state=0), classes=3, method="tree_shap")


def forest(folder: Path) -> Exported:
    from sklearn.ensemble import RandomForestClassifier

    return skops(folder, RandomForestClassifier(20, max_depth=5, random_state=0), classes=3, method="tree_shap")


def boosting(folder: Path) -> Exported:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return skops(folder, HistGradientBoostingClassifier(max_iter=20, random_state=0), method="tree_shap")


def perceptrons(folder: Path) -> Exported:
    from sklearn.neural_network import MLPClassifier

    return skops(folder, MLPClassifier((8,), max_iter=60, random_state=0), classes=3, gradients=True)


def pipeline(folder: Path) -> Exported:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income", "age"]),
        (OneHotEncoder(handle_unknown="ignore"), ["home", "country"]),
    )
    return skops(folder, make_pipeline(columns, LogisticRegression()), pipeline=True)


def xgboost_json(folder: Path) -> Exported:
    import xgboost

    frame, answers = numbers(3)
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=3).fit(frame, answers)
    model.save_model(folder / "model.json")
    return Exported(
        folder / "model.json", written(folder, frame, answers), model.predict_proba(frame), method="tree_shap"
    )


def xgboost_ubj(folder: Path) -> Exported:
    import xgboost

    frame, answers = numbers()
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=3).fit(frame, answers)
    model.save_model(folder / "model.ubj")
    return Exported(
        folder / "model.ubj", written(folder, frame, answers), model.predict_proba(frame), method="tree_shap"
    )


def lightgbm_text(folder: Path) -> Exported:
    import lightgbm

    frame, answers = mixed()
    coded = frame.astype({"home": "category", "country": "category"})
    model = lightgbm.LGBMClassifier(n_estimators=15, num_leaves=8, verbose=-1).fit(coded, answers)
    model.booster_.save_model(folder / "model.txt")
    return Exported(
        folder / "model.txt", written(folder, frame, answers), model.predict_proba(coded), method="tree_shap"
    )


def catboost_numbers(folder: Path) -> Exported:
    import catboost

    frame, answers = numbers()
    model = catboost.CatBoostClassifier(iterations=15, depth=3, verbose=False, allow_writing_files=False)
    model.fit(frame, answers)
    model.save_model(str(folder / "model.cbm"))
    return Exported(
        folder / "model.cbm", written(folder, frame, answers), model.predict_proba(frame), method="tree_shap"
    )


def catboost_names(folder: Path) -> Exported:
    import catboost

    frame, answers = mixed()
    model = catboost.CatBoostClassifier(
        iterations=15, depth=3, verbose=False, allow_writing_files=False, cat_features=["home", "country"]
    )
    model.fit(frame, answers)
    model.save_model(str(folder / "model.cbm"))
    return Exported(folder / "model.cbm", written(folder, frame, answers), model.predict_proba(frame))


def skl2onnx_forest(folder: Path) -> Exported:
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    frame, answers = numbers(3)
    rows = frame.to_numpy(np.float32)
    model = RandomForestClassifier(15, max_depth=4, random_state=0).fit(rows, answers)
    (folder / "model.onnx").write_bytes(to_onnx(model, rows[:1]).SerializeToString())
    return Exported(
        folder / "model.onnx", written(folder, frame, answers), model.predict_proba(rows), method="tree_shap"
    )


def trained(network: object, rows: np.ndarray, answers: np.ndarray, steps: int = 60) -> object:
    """The network after some steps of Adam on all rows."""
    import torch

    torch.manual_seed(0)
    x, y = torch.tensor(rows, dtype=torch.float32), torch.tensor(answers)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network.eval()


def soft(network: object, rows: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return torch.softmax(network(torch.tensor(rows, dtype=torch.float32)).double(), dim=1).numpy()


def exported(network: object, rows: np.ndarray, place: Path) -> Path:
    import torch

    batch = torch.export.Dim("batch")
    example = torch.tensor(rows[:2], dtype=torch.float32)
    torch.onnx.export(network, (example,), place, dynamo=True, dynamic_shapes=({0: batch},), external_data=False)
    return place


def torch_dense(folder: Path) -> Exported:
    from torch import nn

    frame, answers = numbers(3)
    rows = frame.to_numpy()
    network = trained(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), rows, answers)
    return Exported(
        exported(network, rows, folder / "model.onnx"), written(folder, frame, answers), soft(network, rows),
        method="integrated_gradients", attack="pgd", gradients=True,
    )  # fmt: skip


def torch_pictures(folder: Path) -> Exported:
    """A convolutional network with pooling and normalisation, on pictures kept as NPZ."""
    from torch import nn

    rng = np.random.default_rng(0)
    answers = rng.integers(0, 3, ROWS)
    pictures = rng.integers(0, 120, (ROWS, 8, 8, 1)).astype(np.uint8)
    for number, answer in enumerate(answers):
        pictures[number, 2 * answer : 2 * answer + 3, 2:6] += 120
    np.savez(folder / "data.npz", X=pictures, y=answers)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 3)
    )
    rows = pictures.transpose(0, 3, 1, 2) / 255
    network = trained(network, rows, answers, 30)
    return Exported(
        exported(network, rows, folder / "model.onnx"), folder / "data.npz", soft(network, rows), target="",
        method="integrated_gradients", attack="pgd", gradients=True,
        corrections="model = [{ settings = { divide = 255 } }]",
    )  # fmt: skip


def torch_sequence(folder: Path) -> Exported:
    """An LSTM over the four numbers as four steps."""
    import torch
    from torch import nn

    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = nn.LSTM(1, 8, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.lstm(x)[0][:, -1])

    frame, answers = numbers()
    rows = frame.to_numpy()[..., None]
    network = trained(Sequence(), rows, answers, 40)
    return Exported(
        exported(network, rows, folder / "model.onnx"), written(folder, frame, answers), soft(network, rows),
        method="integrated_gradients", attack="pgd", gradients=True,
    )  # fmt: skip


def torch_weights(folder: Path) -> Exported:
    """The weights of an architecture that the samples ship, as safetensors."""
    from safetensors.torch import save_file

    from models.torch_network import build

    frame, answers = numbers(3)
    rows = frame.to_numpy()
    network = trained(build((4,), 3, {"architecture": "dense", "hidden": [16]}), rows, answers)
    save_file(network.state_dict(), folder / "model.safetensors")
    return Exported(
        folder / "model.safetensors", written(folder, frame, answers), soft(network, rows),
        method="deeplift", attack="pgd", gradients=True,
    )  # fmt: skip


def torch_regression(folder: Path) -> Exported:
    import torch
    from torch import nn

    frame, _ = numbers()
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).eval()
    rows = frame.to_numpy()
    with torch.no_grad():
        values = network(torch.tensor(rows, dtype=torch.float32)).double().numpy()
    return Exported(
        exported(network, rows, folder / "model.onnx"), written(folder, frame, values[:, 0].round(6)), values,
        method="integrated_gradients", attack="", gradients=True,
    )  # fmt: skip


def hugging_face(folder: Path) -> Exported:
    """A small BERT with its tokenizer, as the folder that `save_pretrained` writes."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    rng = np.random.default_rng(0)
    words = ["good", "bad", "fine", "poor", "very", "the", "film", "plot", "was", "not"]
    texts = [" ".join(rng.choice(words, rng.integers(4, 12))) for _ in range(ROWS)]
    answers = [int(text.count("good") + text.count("fine") > text.count("bad") + text.count("poor")) for text in texts]
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, num_labels=2, pad_token_id=0,
    )  # fmt: skip
    network = BertForSequenceClassification(config).eval()
    network.save_pretrained(folder / "model")
    fast.save_pretrained(folder / "model")
    pd.DataFrame({"text": texts, "answer": answers}).to_csv(folder / "data.csv", index=False)
    with torch.no_grad():
        batch = fast(texts, padding=True, return_tensors="pt")
        logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.double()
    return Exported(
        folder / "model",
        folder / "data.csv",
        torch.softmax(logits, dim=1).numpy(),
        method="permutation_shap",
        attack="",
    )


MODELS: tuple[Callable[[Path], Exported], ...] = (
    logistic, support_vectors, decision_tree, forest, boosting, perceptrons, pipeline, xgboost_json, xgboost_ubj,
    lightgbm_text, catboost_numbers, catboost_names, skl2onnx_forest, torch_dense, torch_pictures, torch_sequence,
    torch_weights, torch_regression, hugging_face,
)  # fmt: skip


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_round_trip(
    make: Callable[[Path], Exported],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    made = make(tmp_path)
    said = checked(made, tmp_path, capsys)
    assert said["data"]["rows"] == ROWS
    assert said["model"]["gradients"] is made.gradients
    subject = load_subject(str(tmp_path / "subject"))
    engine = Engine.open()
    try:
        agrees_with_its_library(engine, subject, made.expected)
        is_explained(engine, subject, made)
        if made.attack:
            is_attacked(engine, subject, made)
    finally:
        engine.close()


def checked(made: Exported, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    """What `check` says of it; the subject is saved."""
    arguments = ["check", "--model", str(made.model), "--data", str(made.data), "--save", str(folder / "subject")]
    if made.target:
        arguments += ["--target", made.target]
    if made.corrections:
        (folder / "corrections.toml").write_text(made.corrections)
        arguments += ["--subject", str(folder / "corrections.toml")]
    capsys.readouterr()  # what the exporters printed
    status = assay.main(arguments)
    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    return json.loads(printed.out)


def agrees_with_its_library(engine: Engine, subject: Subject, expected: np.ndarray) -> None:
    model = subject.model()
    outputs = engine.ask(Question(model, Predict(), prediction_query(subject, model, np.arange(ROWS)))).outputs
    found = outputs if model.spec.task == "regression" else probabilities(outputs, model.spec)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def is_explained(engine: Engine, subject: Subject, made: Exported) -> None:
    """The method that suits it best adds up, and the page's own choice for many rows is there."""
    model = subject.model()
    method = explainer(made.method)
    target = Target(max(len(model.spec.classes) - 1, 0), method.scales(model.spec)[0])
    query = explain_query(subject, model, [0], target, subject.reference(30))
    found = engine.ask(Question(model, method, query, "long"))
    assert found.complete
    assert np.abs(found.values).max() > 0
    assert default_survey(model.spec).name


def is_attacked(engine: Engine, subject: Subject, made: Exported) -> None:
    model = subject.model()
    method = attack(made.attack, norm="linf", size=0.3)
    found = engine.ask(Question(model, method, attack_query(subject, model, np.arange(20)), "long"))
    assert found.success.any()
    assert (found.distance <= 0.3 + 1e-6).all()
