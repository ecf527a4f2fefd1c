"""Model files that are refused: told by their content, with lines that really export the model; hostile ones too."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserFacingError
from models import inspect_model
from models.refused import why

RUNS_CODE = "runs whatever code is in it"


def archive(**files: bytes) -> bytes:
    """A zip of files, `__` in a keyword a slash and `_dot_` a full stop in its name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return stream.getvalue()


def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 30)).astype(np.float32)
    return rows, (rows[:, 0] > 0).astype(int)


def logistic_regression():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(*table())


def xgboost_model():
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(*table())


def lightgbm_model():
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1).fit(*table())


def catboost_model():
    from catboost import CatBoostClassifier

    return CatBoostClassifier(iterations=3, thread_count=1, verbose=0, allow_writing_files=False).fit(*table())


def network():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(30, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).eval()


def torch_saved(value, **more) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(value, stream, **more)
    return stream.getvalue()


def torch_script() -> bytes:
    import torch

    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(network()), stream)
    return stream.getvalue()


def torch_exported() -> bytes:
    import torch

    rows = ({0: torch.export.Dim.DYNAMIC},)
    stream = io.BytesIO()
    torch.export.save(torch.export.export(network(), (torch.zeros(2, 30),), dynamic_shapes=rows), stream)
    return stream.getvalue()


def keras_network():
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((30,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)])


def keras_saved(ending: str, folder: Path) -> bytes:
    path = folder / f"saved{ending}"
    keras_network().save(path)
    return path.read_bytes()


def jax_parameters() -> dict:
    jax = pytest.importorskip("jax")
    pytest.importorskip("jax2onnx")
    return {"w": jax.random.normal(jax.random.key(0), (30, 2))}


def jax_predict(parameters: dict, rows):
    return rows @ parameters["w"]


def joblib_dumped(model, **more) -> bytes:
    import joblib

    stream = io.BytesIO()
    joblib.dump(model, stream, **more)
    return stream.getvalue()


def h5(attribute: str) -> bytes:
    """The bytes that a Keras file of old has in front: the mark of HDF5 and the name of an attribute."""
    return b"\x89HDF\r\n\x1a\n" + b"\0" * 200 + attribute.encode() + b"\0" * 50


def parquet() -> bytes:
    import pandas

    stream = io.BytesIO()
    pandas.DataFrame({"a": [1, 2]}).to_parquet(stream)
    return stream.getvalue()


def array(save: Callable) -> bytes:
    stream = io.BytesIO()
    save(stream, np.arange(4))
    return stream.getvalue()


def proto(*fields: bytes) -> bytes:
    return b"".join(b"\x12" + bytes([len(each)]) + each for each in fields) + b"\0"


# What it is, its bytes, and words that its error must have.
FILES: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "nothing": (lambda: b"", ("empty file",)),
    **{
        f"pickle, protocol {protocol}": (
            lambda protocol=protocol: pickle.dumps(logistic_regression(), protocol),
            ("pickle of a scikit-learn model", RUNS_CODE, "skops.io.dump"),
        )
        for protocol in range(6)
    },
    "pickled booster": (lambda: pickle.dumps(xgboost_model()), ("XGBoost", 'save_model("model.json")')),
    "pickled lightgbm": (lambda: pickle.dumps(lightgbm_model()), ("LightGBM", 'save_model("model.txt")')),
    "pickled catboost": (lambda: pickle.dumps(catboost_model()), ("CatBoost", 'save_model("model.cbm")')),
    "pickled network": (lambda: pickle.dumps(network()), ("pickle of a PyTorch model", "torch.onnx.export")),
    "pickled table": (
        lambda: pickle.dumps(__import__("pandas").DataFrame({"a": [1]})),
        ("of a table", "read_pickle", "to_parquet"),
    ),
    "pickle of nothing known": (lambda: pickle.dumps({"a": 1}), ("A pickle is not taken", RUNS_CODE)),
    "joblib": (lambda: joblib_dumped(logistic_regression()), ("joblib", "scikit-learn", "skops.io.dump")),
    **{
        f"joblib, {method}": (
            lambda method=method: joblib_dumped(logistic_regression(), compress=(method, 3)),
            ("joblib file, compressed", "scikit-learn", RUNS_CODE, "skops.io.dump"),
        )
        for method in ("zlib", "gzip", "bz2", "lzma", "xz")
    },
    "joblib, lz4": (
        lambda: b"\x04\x22\x4d\x18d@\xa7\xf5\x03\0\0\xf0\x1f\x80\x04\x95\x8c sklearn.linear_model._logistic",
        ("joblib file, compressed", "scikit-learn", "skops.io.dump"),
    ),
    "torch.save of a network": (lambda: torch_saved(network()), ("torch.save", RUNS_CODE, "torch.onnx.export")),
    "torch.save of old": (
        lambda: torch_saved(network(), _use_new_zipfile_serialization=False),
        ("torch.save", RUNS_CODE, "torch.load", "torch.onnx.export"),
    ),
    "state_dict of old": (
        lambda: torch_saved(network().state_dict(), _use_new_zipfile_serialization=False),
        ("weights alone", "torch.onnx.export"),
    ),
    "TorchScript": (torch_script, ("TorchScript", "code", "torch.onnx.export")),
    "torch.export": (torch_exported, (".pt2", "code", "torch.onnx.export")),
    "keras, .h5": (lambda: h5("model_config"), (".h5", "keras.saving.load_model", "model.export")),
    "keras weights, .h5": (lambda: h5("layer_names"), ("weights", "model.export")),
    "hdf5": (lambda: h5("other"), ("HDF5",)),
    "keras": (
        lambda: archive(config_dot_json=b"{}", metadata_dot_json=b"{}", model_dot_weights_dot_h5=b""),
        (".keras", 'model.export("model.onnx", format="onnx"'),
    ),
    "saved model": (
        lambda: archive(m__saved_model_dot_pb=b"", m__variables__variables_dot_index=b""),
        ("SavedModel", "tf2onnx"),
    ),
    "saved model alone": (
        lambda: b"\x08\x01" + proto(b"serve", b"StatefulPartitionedCall"),
        ("SavedModel", "tf2onnx"),
    ),
    "frozen graph": (lambda: b"\x0a\x20\x0a\x05input\x12\x0bPlaceholder\0", ("TensorFlow graph", "tf2onnx")),
    "tflite": (lambda: b"\x1c\0\0\0TFL3" + b"\0" * 40, ("TensorFlow Lite", "no gradients", "tf2onnx")),
    "core ml": (lambda: b"\x08\x04" + proto(b"com.github.apple.coremltools"), ("Core ML", "no gradients")),
    "core ml package": (
        lambda: archive(Manifest_dot_json=b"{}", Data__model_dot_mlmodel=b""),
        ("Core ML", "torch.onnx.export"),
    ),
    "pmml": (
        lambda: b'<?xml version="1.0"?>\n<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4">',
        ("PMML", "skops.io.dump"),
    ),
    "mlflow": (
        lambda: archive(m__MLmodel=b"flavors:\n  python_function:\n    env: x\n  sklearn:\n    code: null\n"),
        ("MLflow", "scikit-learn", "mlflow.sklearn.load_model", "skops.io.dump"),
    ),
    "mojo": (lambda: archive(model_dot_ini=b"[info]", trees__t00_000_dot_bin=b""), ("MOJO", "convert_h2o")),
    "r": (lambda: gzip.compress(b"X\n\0\0\0\3\0\4\3\0"), ("R file", "readRDS", "xgb.save")),
    "r, several": (lambda: bz2.compress(b"RDX3\nX\n"), ("R file",)),
    "hugging face": (
        lambda: archive(m__config_dot_json=b"{}", m__pytorch_model_dot_bin=b"", m__tokenizer_dot_json=b"{}"),
        ("Hugging Face", "safetensors", "save_pretrained", "safe_serialization=True"),
    ),
    "onnx in two files": (
        lambda: archive(model_dot_onnx=b"", model_dot_onnx_dot_data=b""),
        ("several files", "onnx.load", "onnx.save"),
    ),
    "gguf": (lambda: b"GGUF\3\0\0\0", ("GGUF",)),
    "old xgboost": (
        lambda: b"\0\0\0\x3f" + b"\0" * 132 + b"\x0f" + b"\0" * 7 + b"binary:logistic\6" + b"\0" * 7 + b"gbtree",
        ("XGBoost", "save_model"),
    ),
    "xgboost dump": (lambda: b"booster[0]:\n0:[f2<2.45] yes=1,no=2", ("dump of XGBoost", "save_model")),
    "lightgbm dump": (lambda: b'{"name": "tree",\n"tree_info": []}', ("dump of LightGBM", "save_model")),
    "catboost json": (lambda: b'{\n"oblivious_trees": []}', ("CatBoost", 'save_model("model.cbm")')),
    "keras json": (lambda: b'{"class_name": "Sequential", "config": {}}', ("Keras", "weights", "model.export")),
    "tar": (lambda: b"\0" * 257 + b"ustar\0" + b"\0" * 300, ("tar", "make_archive")),
    "tar.gz": (lambda: gzip.compress(b"\0" * 257 + b"ustar\0" + b"\0" * 300), ("tar", "unpack_archive")),
    "lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", ("Git LFS", "git lfs pull")),
    "web page": (lambda: b"<!DOCTYPE html>\n<html></html>", ("web page", "Download")),
    "csv": (lambda: b"age,income\n30,1000\n40,2000\n", ("CSV", "It is data")),
    "csv of semicolons": (lambda: "alter;größe\n30;1,7\n40;1,8\n".encode("utf-16"), ("CSV", "It is data")),
    "csv of texts": (lambda: b'id,text\n1,"one, two"\n2,three\n', ("CSV", "It is data")),
    "parquet": (parquet, ("Parquet", "It is data")),
    "arrow": (lambda: b"ARROW1\0\0", ("Arrow", "It is data")),
    "npy": (lambda: array(np.save), (".npy", "It is data")),
    "npz": (lambda: array(np.savez), (".npz", "It is data")),
    "excel": (lambda: archive(xl__workbook_dot_xml=b""), ("Excel", "read_excel", "to_csv")),
    "pictures": (lambda: archive(a__1_dot_png=b"", a__2_dot_jpg=b"", labels_dot_csv=b""), ("pictures", "It is data")),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n", ("picture", "It is data")),
    "other zip": (lambda: archive(notes_dot_txt=b"", more_dot_txt=b""), ("zip of other files", "2 files")),
    "damaged zip": (lambda: torch_saved(network())[:2000], ("damaged zip",)),
    "text": (lambda: b"Dear colleague,\nplease find the model attached.\n", ("A text file",)),
    "other compressed": (lambda: zlib.compress(b"words " * 50), ("compressed",)),
    "noise": (lambda: bytes(range(128, 256)) * 3, ("no known format",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_told_by_its_content(name):
    make, words = FILES[name]
    with pytest.raises(UserFacingError) as caught:
        inspect_model(make())
    said = str(caught.value)
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"
    assert "\n" not in said


def test_each_code_line_is_a_statement():
    """The command line joins them with semicolons; one that is Python must compile so. Others are shell or R."""
    for name, (make, _) in FILES.items():
        code = why(make()).code
        if code and not code.startswith(("python -m", "git ", "model <-")):
            compile("; ".join(code.splitlines()), name, "exec")


# A file that is refused: how it is written, the name that its lines read, and the file that they write.
EXPORTED: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "scikit-learn": (lambda folder: pickle.dumps(logistic_regression()), "model.pkl", "model.skops"),
    "joblib": (lambda folder: joblib_dumped(logistic_regression(), compress=3), "model.joblib", "model.skops"),
    "XGBoost": (lambda folder: pickle.dumps(xgboost_model()), "model.pkl", "model.json"),
    "LightGBM": (lambda folder: pickle.dumps(lightgbm_model()), "model.pkl", "model.txt"),
    "CatBoost": (lambda folder: pickle.dumps(catboost_model()), "model.pkl", "model.cbm"),
    "PyTorch": (lambda folder: torch_saved(network()), "model.pt", "model.onnx"),
    "pickled network": (lambda folder: pickle.dumps(network()), "model.pkl", "model.onnx"),
    "TorchScript": (lambda folder: torch_script(), "model.pt", "model.onnx"),
    "torch.export": (lambda folder: torch_exported(), "model.pt2", "model.onnx"),
    "Keras": (lambda folder: keras_saved(".keras", folder), "model.keras", "model.onnx"),
    "Keras of old": (lambda folder: keras_saved(".h5", folder), "model.h5", "model.onnx"),
    "JAX": (lambda folder: pickle.dumps(jax_parameters()), "model.pkl", "model.onnx"),
}


def scores(file: str, rows: np.ndarray) -> np.ndarray:
    """What the exported model predicts, by a reader of its own library: the last column of its outputs."""
    if file.endswith(".skops"):
        import skops.io

        return skops.io.load(file).predict_proba(rows)[:, -1]
    if file.endswith(".json"):
        import xgboost

        return xgboost.Booster(model_file=file).inplace_predict(rows)
    if file.endswith(".txt"):
        import lightgbm

        return lightgbm.Booster(model_file=file).predict(rows)
    if file.endswith(".cbm"):
        import catboost

        return catboost.CatBoostClassifier().load_model(file).predict_proba(rows)[:, -1]
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    return session.run(None, {session.get_inputs()[0].name: rows})[0][:, -1]


def expected(name: str, rows: np.ndarray) -> np.ndarray:
    trained = {"scikit-learn": logistic_regression, "joblib": logistic_regression}
    trained |= {"XGBoost": xgboost_model, "LightGBM": lightgbm_model, "CatBoost": catboost_model}
    if name in trained:
        return trained[name]().predict_proba(rows)[:, -1]
    if name.startswith("Keras"):
        return keras_network().predict(rows, verbose=0)[:, -1]
    if name == "JAX":
        return np.asarray(jax_predict(jax_parameters(), rows))[:, -1]
    import torch

    with torch.no_grad():
        return network()(torch.from_numpy(rows)).numpy()[:, -1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXPORTED)
def test_the_lines_export_the_same_model(name, tmp_path, monkeypatch):
    make, opened, written = EXPORTED[name]
    data = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / opened).write_bytes(data)
    exec(why(data).code, {"predict": jax_predict})
    rows, _ = table()
    np.testing.assert_allclose(scores(written, rows), expected(name, rows), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_lines_save_a_hugging_face_folder_anew(tmp_path, monkeypatch):
    import torch
    from safetensors.torch import load_file
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    monkeypatch.chdir(tmp_path)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=5, **small))
    model.save_pretrained("model")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained("model")
    Path("model/model.safetensors").unlink()
    torch.save(model.state_dict(), "model/pytorch_model.bin")
    data = archive(**{path.name.replace(".", "_dot_"): path.read_bytes() for path in Path("model").iterdir()})
    exec(why(data).code, {})
    with zipfile.ZipFile("safe.zip") as packed:
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(packed.namelist())
    saved = load_file("safe/model.safetensors")
    assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())


class Harmful:
    """A pickle of it runs a command when it is opened."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_asks_for_a_command_is_not_to_be_opened(protocol, tmp_path):
    import os

    marker = tmp_path / "marker"
    for function, argument in ((os.system, f"touch {marker}"), (exec, "1"), (eval, "1")):
        for data in (
            pickle.dumps([logistic_regression(), Harmful(function, argument)], protocol),
            joblib_dumped(Harmful(function, argument), compress=("xz", 3)),
            archive(m__data_dot_pkl=pickle.dumps(Harmful(function, argument), protocol), m__version=b"3"),
        ):
            error = why(data)
            assert "asks for" in error.what and not error.code
            assert "Do not open it" in error.remedy
    assert not marker.exists()


def bomb(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(b"\x80\x04" + b"\0" * (200 << 20))


def directory(count: int, size: int) -> bytes:
    """A zip that claims `count` files in a directory of `size` bytes."""
    entry = b"PK\1\2" + b"\0" * 42
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count & 0xFFFF, count & 0xFFFF, size, 4, 0)
    return b"PK\3\4" + entry * count + end


HOSTILE = {
    "gzip bomb": lambda: bomb(gzip.compress),
    "bzip2 bomb": lambda: bomb(bz2.compress),
    "xz bomb": lambda: bomb(lambda data: lzma.compress(data, preset=0)),
    "zlib bomb": lambda: bomb(zlib.compress),
    "lzma with a dictionary of 4 GiB": lambda: b"\x5d\0\0\xff\xff" + b"\xff" * 8 + b"\0" * 100,
    "zip of a million files": lambda: directory(1_000_000, 46_000_000),
    "zip with a lying directory": lambda: directory(3, 0xFFFFFFFF),
    "entry outside the file": lambda: directory(1, 46)[:-22].replace(b"\0\0\0\0", b"\xff\xff\xff\xff", 9) + b"PK\5\6",
    "deflated pickle of 200 MiB": lambda: archive(m__data_dot_pkl=b"\x80\x02" + b"\0" * (200 << 20), m__version=b"3"),
    "pickle of a million opcodes": lambda: b"\x80\x04" + b"N0" * 10_000_000,
    "pickle that claims 2 ** 62 bytes": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc",
    "pickle with an endless number": lambda: b"\x80\x02L" + b"9" * 5_000_000 + b"L\n.",
    "pickle of a thousand pickles": lambda: b"\x80\x02N." * 500_000,
    "pickle of names": lambda: b"\x80\x02" + b"".join(b"cm%d\nn\n" % i for i in range(400_000)),
    "one long line": lambda: b"{" + b" " * 5_000_000,
    "brackets": lambda: b"[" * 5_000_000,
    "words over and over": lambda: b"\0reg:" + b"reg:a" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little(name):
    data = HOSTILE[name]()
    started = time.process_time()
    tracemalloc.start()
    try:
        assert why(data).what
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 10
    assert peak < 120 << 20


def test_no_file_makes_it_raise():
    """Each file above, cut short, with bytes changed and joined to another; and noise behind each mark."""
    draw = random.Random(7)
    files = [make() for make, _ in FILES.values()]
    for data in files:
        for _ in range(25):
            changed = bytearray(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.5 else data)
            for _ in range(draw.randrange(1, 12) if changed else 0):
                changed[draw.randrange(min(len(changed), draw.choice((16, 300, 10**9))))] = draw.randrange(256)
            assert why(bytes(changed)).what
        assert why(data + draw.choice(files)).what
        assert why(data[:12] + draw.randbytes(400)).what


def test_json_of_any_kind_is_told_without_reading_it_whole():
    for value in ({}, [], {"a": [1, 2]}, "word", 3, None):
        assert "text file" in why(json.dumps(value, indent=1).encode()).what
