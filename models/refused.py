"""Model files that are refused, told by their content, with the lines that export the same model to a format that is
taken.

Nothing is opened: `models/_peek.py` reads names and first bytes, within bounds, and this module knows whose they are.
"""

import re

from core.errors import UserFacingError
from models._peek import HEAD, Entry, entry_head, pickle_names, unpacked_head, zip_entries

# A library's lines: what they import beside what opens the old file, how they export, the file that they write.
_TORCH_EXPORT = (
    'torch.onnx.export(model, (torch.zeros(2, 30),), "model.onnx", dynamo=True, external_data=False, '
    "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))"
)
_JAX_EXPORT = (
    'jax2onnx.to_onnx(lambda rows: predict(model, rows), [("n", 30)], return_mode="file", output_path="model.onnx")'
)
_EXPORTS = {
    "scikit-learn": ("skops.io", 'skops.io.dump(model, "model.skops")', "model.skops"),
    "XGBoost": ("xgboost", 'model.save_model("model.json")', "model.json"),
    "LightGBM": ("lightgbm", 'getattr(model, "booster_", model).save_model("model.txt")', "model.txt"),
    "CatBoost": ("catboost", 'model.save_model("model.cbm")', "model.cbm"),
    "PyTorch": ("torch", _TORCH_EXPORT, "model.onnx"),
    "Keras": ("keras", 'model.export("model.onnx", format="onnx", input_signature=model.inputs)', "model.onnx"),
    "Transformers": ("transformers", 'model.save_pretrained("model", safe_serialization=True)', "the folder as a zip"),
    "JAX": ("jax2onnx", _JAX_EXPORT, "model.onnx"),
}
_STANDS_FOR = {
    "PyTorch": ", with the number of columns that the model reads in place of 30,",
    "JAX": ", with your function for predict and the number of columns that it reads in place of 30,",
}

# Whose a class is, by the first part of its name; the first that a pickle asks for decides.
_LIBRARIES = {
    "sklearn": "scikit-learn",
    "imblearn": "scikit-learn",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "transformers": "Transformers",
    "torch": "PyTorch",
    "pytorch_lightning": "PyTorch",
    "lightning": "PyTorch",
    "keras": "Keras",
    "tensorflow": "Keras",
    "jax": "JAX",
    "jaxlib": "JAX",
    "flax": "JAX",
    "equinox": "JAX",
}
_TABLES = ("pandas", "polars", "pyarrow")
_NO_MODEL_NEEDS = re.compile(
    r"(os|posix|nt|subprocess|socket|shutil|runpy|pty|sys|ctypes|marshal|webbrowser|importlib)\..*"
    r"|(builtins|__builtin__)\.(eval|exec|compile|open|__import__)"
)
_TENSORS = re.compile(r"torch\.(_utils\._rebuild_\w+|\w*Storage|storage\.\w+|Size|device)|collections\.OrderedDict")

_LOADS_FROM_BYTES = "torch.storage._load_from_bytes"  # in a pickle, never in a file of torch.save

_PICKLE_RUNS_CODE = "Opening a pickle runs whatever code is in it"
_ONLY_RUNS = "It is made to be run and gives no gradients"
_IS_DATA = "It is data"
_GIVE_AS_DATA = "Give it as the data, and a file with the model as the model"
_SEE_FORMATS = "Bring the model in one of the formats that docs/bring-a-model.md lists"


def why(data: bytes) -> UserFacingError:
    """The error for a model file that no format takes. Never raises, and never opens the file."""
    for tell in (_nothing, _zip, _marked, _pickle, _packed, _unmarked, _text):
        error = tell(data)
        if error is not None:
            return error
    return _refused("This file", "Its content is of no known format", _SEE_FORMATS)


def _refused(what: str, reason: str, remedy: str, *code: str) -> UserFacingError:
    return UserFacingError(f"{what} is not taken as a model", reason, remedy, "\n".join(code))


def _exported(what: str, reason: str, library: str, opener: str = "", opened: str = "") -> UserFacingError:
    """Refused with the lines of `library`; `opened` is what gives the model, from the module `opener`."""
    module, export, file = _EXPORTS[library]
    lines = [f"import {', '.join(sorted({module, opener} - {''}))}", export]
    if opened:
        lines.insert(1, f"model = {opened}")
    remedy = f"Where the model was trained, run these lines{_STANDS_FOR.get(library, '')} and bring {file}:"
    return _refused(what, reason, remedy, *lines)


def _nothing(data: bytes) -> UserFacingError | None:
    if data:
        return None
    return _refused(
        "An empty file", "There is nothing in it", "Export the model again and look at the size of its file"
    )


def _zip(data: bytes) -> UserFacingError | None:
    """What is told by the names in a zip."""
    if not data.startswith(b"PK"):
        return None
    entries = {entry.name: entry for entry in zip_entries(data)}
    last = {name.rsplit("/", 1)[-1]: entry for name, entry in entries.items()}
    for tell in (_zip_of_torch, _zip_of_a_library, _zip_of_a_folder, _zip_of_data):
        error = tell(data, entries, last)
        if error is not None:
            return error
    if not entries:
        return _refused("A damaged zip", "The list of its files cannot be read", "Export or pack it again")
    return _refused(
        "A zip of other files",
        f"None of the {len(entries):,} files in it says that it is a model of a known format",
        "Unpack it and give the file with the model alone",
    )


def _zip_of_torch(data: bytes, entries: dict[str, Entry], last: dict[str, Entry]) -> UserFacingError | None:
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return _refused(
            "A torch.export archive (.pt2)",
            "Opening one can run code that is in it",
            "Where the model was trained, run these lines and bring model.onnx:",
            "import torch",
            'program = torch.export.load("model.pt2")',
            'torch.onnx.export(program, (), "model.onnx", dynamo=True, external_data=False)',
        )
    if "constants.pkl" in last:
        return _refused(
            "A TorchScript file",
            "It holds code that runs when it is opened",
            f"Where the model was trained, run these lines{_STANDS_FOR['PyTorch']} and bring model.onnx:",
            "import torch",
            'model = torch.jit.load("model.pt")',
            'torch.onnx.export(model, (torch.zeros(2, 30),), "model.onnx", dynamo=False, input_names=["rows"], '
            'dynamic_axes={"rows": {0: "n"}})',
        )
    if "data.pkl" in last:
        return _torch_save(pickle_names(entry_head(data, last["data.pkl"])) or ())
    return None


def _torch_save(names: tuple[str, ...]) -> UserFacingError:
    """A file of `torch.save`, by what its pickle asks for."""
    if bad := _suspicious(names):
        return bad
    if names and all(map(_TENSORS.fullmatch, names)):
        return _exported(
            "A PyTorch file with weights alone (state_dict)",
            "The network that they belong to is not in it",
            "PyTorch",
        )
    return _exported(
        "A PyTorch file of torch.save", _PICKLE_RUNS_CODE, "PyTorch", "torch",
        'torch.load("model.pt", weights_only=False)',
    )  # fmt: skip


def _zip_of_a_library(data: bytes, entries: dict[str, Entry], last: dict[str, Entry]) -> UserFacingError | None:
    if "MLmodel" in last:
        return _mlflow(entry_head(data, last["MLmodel"]))
    if "model.weights.h5" in last:
        return _keras("A Keras file (.keras)", "model.keras")
    if "saved_model.pb" in last:
        return _saved_model()
    if any(name.endswith(".mlmodel") for name in last):
        return _core_ml()
    if "model.ini" in last:
        return _refused(
            "An H2O MOJO",
            "Only H2O's own Java reader knows it",
            "With onnxmltools and h2o installed, run these lines and bring model.onnx:",
            "import onnx, onnxmltools",
            'model = onnxmltools.convert_h2o("model.zip")',
            'onnx.save(model, "model.onnx")',
        )
    return None


def _zip_of_a_folder(data: bytes, entries: dict[str, Entry], last: dict[str, Entry]) -> UserFacingError | None:
    if "config.json" in last and any(re.fullmatch(r"pytorch_model.*\.bin|.*\.(h5|msgpack)", name) for name in last):
        return _refused(
            "A Hugging Face folder without safetensors",
            "Its weights are a pickle or another library's, and only those in model.safetensors are read",
            "Where the model was trained, run these lines and bring safe.zip:",
            "import shutil",
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
            'AutoModelForSequenceClassification.from_pretrained("model").save_pretrained("safe", '
            "safe_serialization=True)",
            'AutoTokenizer.from_pretrained("model").save_pretrained("safe")',
            'shutil.make_archive("safe", "zip", "safe")',
        )
    if any(name.endswith(".onnx") for name in last):
        return _refused(
            "An ONNX model in several files",
            "Its weights lie outside model.onnx and are not looked for there",
            "Run these lines beside its files and bring whole.onnx:",
            "import onnx",
            'model = onnx.load("model.onnx")',
            'onnx.save(model, "whole.onnx")',
        )
    return None


def _zip_of_data(data: bytes, entries: dict[str, Entry], last: dict[str, Entry]) -> UserFacingError | None:
    names = [name.lower() for name in entries if not name.endswith("/")]
    if not names:
        return None
    if all(name.endswith(".npy") for name in names):
        return _refused("A NumPy file (.npz)", _IS_DATA, _GIVE_AS_DATA)
    if "xl/workbook.xml" in names:
        return _workbook()
    if sum(name.endswith((".png", ".jpg", ".jpeg")) for name in names) > len(names) / 2:
        return _refused("A zip of pictures", _IS_DATA, _GIVE_AS_DATA)
    return None


def _mlflow(description: bytes) -> UserFacingError:
    """A folder that MLflow packed, by the flavour that its description names."""
    flavours = {
        "sklearn": "scikit-learn",
        "xgboost": "XGBoost",
        "lightgbm": "LightGBM",
        "catboost": "CatBoost",
        "pytorch": "PyTorch",
        "keras": "Keras",
        "tensorflow": "Keras",
    }
    found = re.search(rb"^\s*(%s):" % "|".join(flavours).encode(), description, re.MULTILINE)
    if not found:
        return _refused("An MLflow folder", "What it holds is opened by MLflow, which runs its code", _SEE_FORMATS)
    flavour = found[1].decode()
    return _exported(
        f"An MLflow folder of a {flavours[flavour]} model", "It is opened by unpickling, which runs its code",
        flavours[flavour], "mlflow", f'mlflow.{flavour}.load_model("model")',
    )  # fmt: skip


def _marked(data: bytes) -> UserFacingError | None:
    """What is told by its first bytes."""
    for at, mark, error in _MARKS:
        if data.startswith(mark, at):
            return error()
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5(data)
    return None


def _keras(what: str, file: str) -> UserFacingError:
    reason = "Its layers are built by Keras and one of them may hold code"
    return _exported(what, reason, "Keras", "keras", f'keras.saving.load_model("{file}")')


def _hdf5(data: bytes) -> UserFacingError:
    if b"model_config" in data[:HEAD]:
        return _keras("A Keras file (.h5)", "model.h5")
    if b"layer_names" in data[:HEAD] or b"weight_names" in data[:HEAD] or b"vars" in data[:HEAD]:
        return _exported("A Keras file of weights (.h5)", "The network that they belong to is not in it", "Keras")
    return _refused("An HDF5 file", "It names no model, and HDF5 is not read", _SEE_FORMATS)


def _saved_model() -> UserFacingError:
    return _refused(
        "A TensorFlow SavedModel",
        "It can hold code that reads and writes files",
        "Where the model was trained, run this in a shell, with its folder for saved_model, and bring model.onnx:",
        "python -m tf2onnx.convert --saved-model saved_model --output model.onnx",
    )


def _frozen_graph() -> UserFacingError:
    return _refused(
        "A TensorFlow graph (.pb)",
        "It can hold code that reads and writes files",
        "Run this in a shell, with the names of its first and last node, and bring model.onnx:",
        "python -m tf2onnx.convert --graphdef model.pb --inputs input:0 --outputs output:0 --output model.onnx",
    )


def _tflite() -> UserFacingError:
    return _refused(
        "A TensorFlow Lite file",
        _ONLY_RUNS,
        "Run this in a shell and bring model.onnx:",
        "python -m tf2onnx.convert --tflite model.tflite --output model.onnx",
    )


def _core_ml() -> UserFacingError:
    return _exported("A Core ML file", f"{_ONLY_RUNS}, and only Apple's systems run it", "PyTorch")


def _r_file() -> UserFacingError:
    return _refused(
        "An R file (.rds or .RData)",
        "Only R reads it, and opening it can run code",
        "If it is an XGBoost model, run these lines in R and bring model.json:",
        'model <- readRDS("model.rds")',
        'xgboost::xgb.save(model, "model.json")',
    )


def _workbook() -> UserFacingError:
    return _refused(
        "An Excel workbook",
        _IS_DATA,
        "Save it as a table with these lines and give table.csv as the data:",
        "import pandas",
        'pandas.read_excel("table.xlsx").to_csv("table.csv", index=False)',
    )


def _gguf() -> UserFacingError:
    return _refused(
        "A GGUF file", "It holds a model that writes text, and only models that decide are taken", _SEE_FORMATS
    )


def _data(what: str) -> UserFacingError:
    return _refused(what, _IS_DATA, _GIVE_AS_DATA)


# Where in the file, the bytes there, and the error.
_MARKS = (
    (0, b"PAR1", lambda: _data("A Parquet file")),
    (0, b"ARROW1", lambda: _data("An Arrow file")),
    (0, b"FEA1", lambda: _data("A Feather file")),
    (0, b"\x93NUMPY", lambda: _data("A NumPy file (.npy)")),
    (0, b"\x89PNG", lambda: _data("A picture")),
    (0, b"\xff\xd8\xff", lambda: _data("A picture")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _workbook),
    (0, b"GGUF", _gguf),
    (4, b"TFL3", _tflite),
    (0, b"RDX", _r_file),
    (0, b"RDA", _r_file),
    (0, b"X\n\0\0\0", _r_file),
    (0, b"A\n2\n", _r_file),
    (0, b"A\n3\n", _r_file),
)


def _pickle(data: bytes, packed: str = "") -> UserFacingError | None:
    """A pickle, by the classes that it asks for; `packed` says how it is packed."""
    names = pickle_names(data)
    if names is None:
        return None
    if bad := _suspicious(names):
        return bad
    by_joblib = packed or any(name.startswith("joblib.") for name in names)
    kind = f"joblib file{packed}" if by_joblib else "pickle"
    return _of_library(kind, names, "model.joblib" if by_joblib else "model.pkl")


def _of_library(kind: str, names: tuple[str, ...], file: str) -> UserFacingError:
    """A pickle of the first library that is among `names`."""
    roots = [name.split(".")[0] for name in names]
    library = next((_LIBRARIES[root] for root in roots if root in _LIBRARIES), "")
    if library == "PyTorch" and (_LOADS_FROM_BYTES not in names or all(map(_TENSORS.fullmatch, names))):
        return _torch_save(names)
    if library:
        return _exported(
            f"A {kind} of a {library} model", _PICKLE_RUNS_CODE, library, "joblib", f'joblib.load("{file}")'
        )
    if any(root in _TABLES for root in roots):
        return _refused(
            f"A {kind} of a table",
            _PICKLE_RUNS_CODE,
            "Save the table with these lines and give table.parquet as the data:",
            "import pandas",
            f'pandas.read_pickle("{file}").to_parquet("table.parquet")',
        )
    return _refused(f"A {kind}", f"{_PICKLE_RUNS_CODE}, and it names no library that Assay knows", _SEE_FORMATS)


def _suspicious(names: tuple[str, ...]) -> UserFacingError | None:
    """A pickle that asks for what no model needs: no line that would open it is given."""
    for name in names:
        if _NO_MODEL_NEEDS.fullmatch(name):
            return _refused(
                f"A pickle that asks for {name[:60]}",
                f"{_PICKLE_RUNS_CODE}, and no model needs this",
                "Do not open it; ask whoever made it for the model in another format",
            )
    return None


def _packed(data: bytes) -> UserFacingError | None:
    """What is told by the first bytes inside a compressed file."""
    if data.startswith(b"\x04\x22\x4d\x18"):
        return _lz4(data[:HEAD])
    head = unpacked_head(data)
    if not head:
        return None
    if error := _pickle(head, ", compressed"):
        return error
    if head[:5] in (b"RDX3\n", b"RDX2\n", b"RDA3\n", b"RDA2\n", b"X\n\0\0\0"):
        return _r_file()
    if head.startswith(b"ustar", 257):
        return _tar("model.tar.gz")
    return _refused(
        "A compressed file", "What is in it is no model of a known format", "Unpack it and give what is in it"
    )


def _lz4(head: bytes) -> UserFacingError:
    """LZ4 leaves the first occurrence of a word as it is, so that a module's name can be found without unpacking."""
    found = re.search("|".join(_LIBRARIES).encode(), head)
    names = (f"{found[0].decode()}.",) if found else ()
    return _of_library("joblib file, compressed", names, "model.joblib")


def _tar(file: str) -> UserFacingError:
    return _refused(
        "A tar archive",
        "Archives are taken as zip only",
        "Unpack it with these lines and give the file with the model, or pack the folder as a zip:",
        "import shutil",
        f'shutil.unpack_archive("{file}", "model")',
        'shutil.make_archive("model", "zip", "model")',
    )


def _unmarked(data: bytes) -> UserFacingError | None:
    """What is told by words among bytes that have no mark of their own."""
    head = data[:HEAD]
    if b"\0" not in head:
        return None
    for begins, words, error in _BINARY_WORDS:
        if head.startswith(begins) and re.search(words, head, re.DOTALL):
            return error()
    return None


def _old_xgboost() -> UserFacingError:
    return _exported(
        "An XGBoost file in its old binary format", "XGBoost itself no longer reads it", "XGBoost", "xgboost",
        'xgboost.Booster(model_file="model.bin")',
    )  # fmt: skip


# How the file begins, words in it, and the error.
_BINARY_WORDS = (
    (b"", rb"\A.{257}ustar", lambda: _tar("model.tar")),
    (b"", rb"\A.{0,4096}(reg|binary|multi|rank|survival|count):[a-z_]{1,30}.{8}gb(tree|linear)", _old_xgboost),
    (b"\x08", rb"coreml|MLModel|mlmodel", _core_ml),
    (b"\x08\x01\x12", rb"StatefulPartitionedCall|VarHandleOp|saver|serve", _saved_model),
    (b"\x0a", rb"\A.{1,4096}\x12.(Placeholder|Const|NoOp)", _frozen_graph),
)


def _text(data: bytes) -> UserFacingError | None:
    """What is told by the words of a text."""
    head = data[:HEAD]
    text = head.decode("utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", "replace")
    if "\0" in text or text.count("\ufffd") > len(text) // 10:
        return None
    for words, error in _WORDS:
        if re.search(words, text):
            return error()
    if _is_table(text):
        return _data("A table of text (CSV)")
    return _refused("A text file", "It is of no known format", _SEE_FORMATS)


def _is_table(text: str) -> bool:
    """Whether the first line has a delimiter, and no line after it has fewer (quoted texts may have more)."""
    lines = [line for line in text[:65_536].splitlines()[:5] if line.strip()]
    if len(lines) < 2:
        return False
    return any(0 < lines[0].count(each) <= min(line.count(each) for line in lines[1:]) for each in ",;\t|")


def _lfs_pointer() -> UserFacingError:
    return _refused(
        "A Git LFS pointer",
        "It stands in for the model, which was not downloaded with it",
        "Run this in the repository and bring the file that it brings:",
        "git lfs pull",
    )


def _pmml() -> UserFacingError:
    reason = f"{_ONLY_RUNS}, and no reader of it is part of Assay"
    return _exported("A PMML file", reason, "scikit-learn")


def _json_of_keras() -> UserFacingError:
    return _exported("A Keras network as JSON", "Its weights are not in it", "Keras")


def _catboost_json() -> UserFacingError:
    return _exported(
        "A CatBoost file as JSON", "Only CatBoost's own format is read", "CatBoost", "catboost",
        'catboost.CatBoost().load_model("model.json", format="json")',
    )  # fmt: skip


def _dump(library: str) -> UserFacingError:
    return _exported(f"A dump of {library}'s trees", "It leaves out what predicting needs", library)


def _web_page() -> UserFacingError:
    return _refused("A web page", "It was saved in place of the file that it links to", "Download the file itself")


# Words of the text, and the error.
_WORDS = (
    (r"\A\s*version https://git-lfs", _lfs_pointer),
    (r"(?i)\A\s*<(!doctype )?html", _web_page),
    (r"<PMML\b", _pmml),
    (r'(?s)\A\s*\{.*"oblivious_trees"', _catboost_json),
    (r'"(class_name|modelTopology)"', _json_of_keras),
    (r'(?s)\A\s*\{.*"tree_info"', lambda: _dump("LightGBM")),
    (r'(?s)\A\s*(\[\s*\{.*"nodeid"|booster\[0\])', lambda: _dump("XGBoost")),
)
