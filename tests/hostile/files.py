"""Files made to do harm: to run code, to crash, to take memory or time, or to be read as something that they are not.

`models` and `tables` give them by name, each with what its refusal must say. Whatever runs code leaves `marker` behind.
"""

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

Hostile = dict[str, tuple[bytes, str]]


class Runs:
    """Unpickled, it runs a command."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple:
        import os

        return os.system, (f"touch {self._marker}",)


def packed(files: dict[str, bytes], level: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", level) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return buffer.getvalue()


def repacked(archive: bytes, **changed: bytes) -> bytes:
    """The same zip with some members replaced; `schema_json` stands for schema.json."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    return packed(members | {name.replace("_json", ".json"): body for name, body in changed.items()})


# --- models ----------------------------------------------------------------------------------------------------------


def models(marker: Path) -> Hostile:
    """Model files. The phrase is part of the sentence that refuses each."""
    return {**_pickles(marker), **_archives(marker), **_skops(marker), **_boosters(), **_tensors(marker), **_onnx()}


def _pickles(marker: Path) -> Hostile:
    code = pickle.dumps(Runs(marker))
    return {
        "pickle that runs code": (code, "pickle"),
        "pickle in text form": (pickle.dumps(Runs(marker), protocol=0), "pickle"),
        "joblib file packed with zlib": (zlib.compress(code), "pickle|joblib"),
        "joblib file packed with gzip": (gzip.compress(code), "pickle|joblib"),
        "pickle that never ends its string": (b"\x80\x04\x8d" + struct.pack("<Q", 2**60), "pickle|format"),
        "nothing": (b"", "empty"),
        "noise": (np.random.default_rng(0).bytes(4096), "not taken|format"),
        "a table": (b"a,b\n1,2\n3,4\n", "data|table"),
        "PMML with an entity that reads a file": (
            b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
            b'<PMML xmlns="http://www.dmg.org/PMML-4_4"><Header description="&e;"/></PMML>',
            "PMML",
        ),
        "HDF5 weights": (b"\x89HDF\r\n\x1a\n" + bytes(512), "HDF5|h5|Keras"),
    }


def _archives(marker: Path) -> Hostile:
    code = pickle.dumps(Runs(marker))
    bomb = bytes(300 * 2**20)
    hugging_face = {"config.json": json.dumps({"model_type": "bert", "architectures": ["Bert"]}).encode()}
    return {
        "whole PyTorch module": (packed({"archive/data.pkl": code, "archive/version": b"3"}), "PyTorch|pickle|torch"),
        "TorchScript": (
            packed({"m/code/m.py": b"def f(): pass", "m/constants.pkl": code, "m/data.pkl": code}),
            "TorchScript",
        ),
        "exported program": (
            packed({"archive/models/model.json": b"{}", "archive/archive_format": b"pt2"}),
            "pt2|export",
        ),
        "Keras archive with a Lambda": (
            packed(
                {"metadata.json": b"{}", "config.json": b'{"class_name": "Lambda"}', "model.weights.h5": b"\x89HDF"}
            ),
            "Keras|keras",
        ),
        "Hugging Face folder with code": (
            packed(hugging_face | {"evil.py": b"import os", "model.safetensors": bytes(16), "tokenizer.json": b"{}"}),
            "evil.py|code",
        ),
        "Hugging Face folder with pickled weights": (
            packed(hugging_face | {"pytorch_model.bin": code, "tokenizer.json": b"{}"}),
            "safetensors",
        ),
        "zip that climbs out": (packed({"../../up.py": b"x", "schema.json": b"{}"}), "."),
        "zip bomb as a skops file": (packed({"schema.json": bomb}), "."),
    }


def _skops(marker: Path) -> Hostile:
    import skops.io
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    rows = np.random.default_rng(0).normal(size=(80, 3))
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(rows, rows[:, 0] > 0.2)
    plain = skops.io.dumps(tree)
    schema = json.loads(zipfile.ZipFile(io.BytesIO(plain)).read("schema.json"))
    function = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "__id__": 1, "content": {
        "module_path": "os", "function": "system"}}  # fmt: skip
    partial = dict(schema) | {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode"}
    unknown = dict(schema) | {"__module__": "subprocess", "__class__": "Popen"}
    texts = make_pipeline(TfidfVectorizer(), DecisionTreeClassifier()).fit(
        ["one two", "two three", "three four"], [0, 1, 0]
    )
    texts[0].set_params(input="filename")
    cyclic = DecisionTreeClassifier(max_depth=3, random_state=0).fit(rows, rows[:, 0] > 0.2)
    state = cyclic.tree_.__getstate__()
    state["nodes"]["left_child"][0] = 2**30
    cyclic.tree_.__setstate__(state)
    return {
        "skops file that calls os.system": (repacked(plain, schema_json=json.dumps(schema | function).encode()), "os"),
        "skops file of a partial": (repacked(plain, schema_json=json.dumps(partial).encode()), "damaged|partial"),
        "skops file of a process": (repacked(plain, schema_json=json.dumps(unknown).encode()), "Popen|subprocess"),
        "skops file that reads files by name": (skops.io.dumps(texts), "filename|Tfidf|text"),
        "skops tree with a child that is not there": (skops.io.dumps(cyclic), "tree"),
        "skops file cut short": (plain[: len(plain) // 2], "."),
    }


def _boosters() -> Hostile:
    import catboost
    import lightgbm
    import xgboost

    rows = np.random.default_rng(0).normal(size=(200, 4))
    labels = (rows[:, 0] > 0).astype(int)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(rows, labels), 3)
    plain = json.loads(booster.save_raw("json"))
    wild = json.loads(booster.save_raw("json"))
    wild["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 2**30
    far = json.loads(booster.save_raw("json"))
    far["learner"]["gradient_booster"]["model"]["trees"][0]["split_indices"][0] = 10**6
    text = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, labels), 3)
    lines = text.model_to_string()
    cycle = lines.replace("left_child=", "left_child=0 ", 1)
    forest = catboost.CatBoostClassifier(iterations=3, depth=2, verbose=False, allow_writing_files=False)
    forest.fit(rows, labels)
    cbm = bytearray(forest._serialize_model())
    smashed = bytearray(cbm)
    smashed[8:64] = b"\xff" * 56
    return {
        "XGBoost file cut short": (json.dumps(plain).encode()[:2000], "."),
        "XGBoost tree with a child that is not there": (json.dumps(wild).encode(), "tree"),
        "XGBoost tree that reads a column that is not there": (json.dumps(far).encode(), "tree|feature"),
        "XGBoost UBJSON with a length that lies": (b"{L" + struct.pack(">q", 2**62) + b"learner", "."),
        "LightGBM tree that leads back to itself": (cycle.encode(), "tree|size"),
        "LightGBM file cut short": (lines.encode()[:900], "cut short|tree"),
        "CatBoost file of noise": (b"CBM1" + np.random.default_rng(1).bytes(3000), "."),
        "CatBoost file cut short": (bytes(cbm[: len(cbm) // 2]), "."),
        "CatBoost file with smashed offsets": (bytes(smashed), "."),
    }


def _tensors(marker: Path) -> Hostile:
    import torch

    header = json.dumps({"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}).encode()
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, buffer)
    nested = json.dumps({"w": {"dtype": "F32", "shape": [0] * 10**5, "data_offsets": [0, 0]}}).encode()
    return {
        "safetensors that claims a trillion numbers": (struct.pack("<Q", len(header)) + header, "."),
        "safetensors whose header is longer than the file": (struct.pack("<Q", 2**60) + b"{}", "."),
        "safetensors of a hundred thousand dimensions": (struct.pack("<Q", len(nested)) + nested, "."),
        "state dict of one number said to be a trillion": (buffer.getvalue(), "."),
        "state dict whose pickle runs code": (
            packed({"archive/data.pkl": pickle.dumps({"w": Runs(marker)}, protocol=2), "archive/data/0": bytes(4)}),
            ".",
        ),
    }


def _onnx() -> Hostile:
    import onnx
    from onnx import TensorProto, helper

    def made(nodes: list, more: tuple = (), outputs: str = "y", domain: str = "", width: int = 4) -> bytes:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
        y = helper.make_tensor_value_info(outputs, TensorProto.FLOAT, [None, width])
        graph = helper.make_graph(nodes, "g", [x], [y], list(more))
        opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(domain, 1)] if domain else [])
        return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()

    forever = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["v"], ["v2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [None, 4]),
        ],
        [
            helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", TensorProto.FLOAT, [None, 4]),
        ],
    )
    endless = [
        helper.make_node("Constant", [], ["n"], value=helper.make_tensor("n", TensorProto.INT64, [], [2**62])),
        helper.make_node("Constant", [], ["go"], value=helper.make_tensor("go", TensorProto.BOOL, [], [True])),
        helper.make_node("Loop", ["n", "go", "x"], ["y"], body=forever),
    ]
    huge = [
        helper.make_node("Constant", [], ["s"], value=helper.make_tensor("s", TensorProto.INT64, [2], [2**20, 2**20])),
        helper.make_node("ConstantOfShape", ["s"], ["z"]),
        helper.make_node("ReduceSum", ["z"], ["t"]),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    outside = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4], data_location=1)
    outside.external_data.add(key="location", value="../../../../etc/passwd")
    lying = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[10**6, 10**6], raw_data=bytes(64))
    product = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    tree = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
        nodes_values=[0.0, 0.0, 0.0], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 2, 0], target_treeids=[0],
        target_nodeids=[2], target_ids=[0], target_weights=[1.0],
    )  # fmt: skip
    plain = made([helper.make_node("Relu", ["x"], ["y"])])
    return {
        "ONNX loop without end": (made(endless), "Loop"),
        "ONNX constant of 4 TiB": (made(huge), "."),
        "ONNX weights in a file elsewhere": (made(product, (outside,)), "external|another file|outside"),
        "ONNX weights that claim a trillion numbers": (made(product, (lying,)), "."),
        "ONNX operator of an unknown domain": (
            made([helper.make_node("Run", ["x"], ["y"], domain="evil")], domain="evil"),
            "evil|domain",
        ),
        "ONNX tree that leads back to itself": (made([tree], domain="ai.onnx.ml", width=1), "tree|node"),
        "ONNX file cut short": (plain[: len(plain) - 7], "."),
    }


# --- data ------------------------------------------------------------------------------------------------------------


def tables(marker: Path) -> Hostile:
    """Data files. The phrase is part of the sentence that refuses each."""
    return {**_texts(marker), **_columns(), **_arrays(marker), **_pictures()}


def _texts(marker: Path) -> Hostile:
    rows = b"a,b,c\n" + b"1,2,3\n" * 50
    return {
        "CSV with a line too long": (rows + b"1,2,3,4\n" + b"1,2,3\n" * 5, "row 51"),
        "CSV with a line too short": (rows + b"1,2\n", "row 51"),
        "CSV that names a column twice": (b"a,a,b\n1,2,3\n", "twice|'a'"),
        "CSV of ten million rows in 20 KB": (gzip.compress(b"a,b\n" + b"1,2\n" * 10_000_000), "rows|large|values"),
        "CSV of one endless value": (b'a,b\n1,"' + b"x" * 3_000_000, "."),
        "CSV with zero bytes": (b"a,b\n1,\0\0\0\n" * 20, "."),
        "CSV of headers only": (b"a,b,c\n", "."),
        "pickle as data": (pickle.dumps(Runs(marker)), "pickle"),
        "workbook": (packed({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "."),
    }


def _columns() -> Hostile:
    import pyarrow
    from pyarrow import feather, parquet

    buffer = io.BytesIO()
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(6_000_000, np.int8)), pyarrow.array([1.0]))
    parquet.write_table(pyarrow.table({name: column for name in "abcdefghi"}), buffer, compression="zstd")
    wide = buffer.getvalue()
    small = io.BytesIO()
    parquet.write_table(pyarrow.table({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0]}), small)
    arrow = io.BytesIO()
    feather.write_feather(pyarrow.table({"a": list(range(1000))}), arrow, compression="uncompressed")
    lies = bytearray(arrow.getvalue())
    lies[16:120] = b"\xff" * 104
    footer = bytearray(small.getvalue())
    footer[-30:-8] = b"\xff" * 22
    return {
        "Parquet of 54 million values in a few KB": (wide, "rows|large|values"),
        "Parquet cut short": (small.getvalue()[:-20], "."),
        "Parquet with a smashed footer": (bytes(footer), "."),
        "Parquet that is encrypted": (b"PARE" + bytes(64) + b"PARE", "."),
        "Arrow file with a smashed schema": (bytes(lies), "."),
    }


def _arrays(marker: Path) -> Hostile:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    claim = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    objects = io.BytesIO()
    np.save(objects, np.array([Runs(marker)], dtype=object), allow_pickle=True)
    both = io.BytesIO()
    np.savez(both, X=np.array([Runs(marker)], dtype=object), y=np.zeros(1))
    names = io.BytesIO()
    np.savez(names, one=np.zeros((5, 2)), two=np.zeros((5, 3)))
    return {
        "NPY that claims a trillion numbers": (claim + bytes(64), "large|values"),
        "NPY of objects": (objects.getvalue(), "object|code"),
        "NPZ of objects": (both.getvalue(), "object|code"),
        "NPZ of arrays that nobody can tell apart": (names.getvalue(), "one"),
    }


def _pictures() -> Hostile:
    from PIL import Image

    def picture(width: int, height: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (width, height)).save(buffer, "PNG")
        return buffer.getvalue()

    small = picture(8, 8)
    header = struct.pack(">II5B", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bytes(12)
    return {
        "pictures that climb out": (packed({"a/1.png": small, "../../b/2.png": small}), "\\.\\."),
        "picture of 900 megapixels": (packed({"a/1.png": huge, "b/2.png": huge}), "."),
        "pictures of two sizes": (packed({"a/1.png": small, "b/2.png": picture(9, 8)}), "size"),
        "picture that is none": (packed({"a/1.png": small, "b/2.png": b"\x89PNG" + bytes(40)}), "2.png"),
        "pictures inside a zip inside a zip": (packed({"inner.zip": packed({"a/1.png": small})}), "."),
    }
