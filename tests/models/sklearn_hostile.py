"""skops files that are not what they claim: each a way to run code, to crash the process, or to fill its memory."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from tests.models import sklearn_models

Change = Callable[[dict, dict], None]


def dumped(model: Any) -> bytes:
    import skops.io

    return skops.io.dumps(model)


@cache
def zoo(name: str) -> bytes:
    return dumped(sklearn_models.fitted(name)[0])


def plain() -> bytes:
    return zoo("tree")


def unpack(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def patched(data: bytes, change: Change) -> bytes:
    """`data` with its schema, and its files by name, as `change` leaves them; the numbers of its nodes taken away."""
    files = unpack(data)
    schema = json.loads(files.pop("schema.json"))
    for node in nodes(schema):
        node.pop("__id__", None)
    change(schema, files)
    return pack({**files, "schema.json": json.dumps(schema).encode()})


def nodes(tree: Any) -> Iterator[dict]:
    """Every node of a schema, outer before inner."""
    if isinstance(tree, dict):
        if "__loader__" in tree:
            yield tree
        for value in tree.values():
            yield from nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes(value)


def of_class(schema: dict, name: str) -> dict:
    """The last node of a class: the inner one, and where an ensemble names its model twice, the fitted one."""
    return [node for node in nodes(schema) if node["__class__"] == name][-1]


def state(schema: dict, name: str) -> dict:
    return of_class(schema, name)["content"]["content"]


def plain_node(value: Any) -> dict:
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(value)}


def function(module: str, name: str, loader: str = "FunctionNode", **more: Any) -> dict:
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def text_tuple(*values: str) -> dict:
    return function("builtins", "tuple", "TupleNode", content=[plain_node(value) for value in values])


def set_attribute(name: str, attribute: str, node: dict) -> Change:
    """A change that gives the object of a class another attribute."""

    def change(schema: dict, files: dict) -> None:
        holder = of_class(schema, name)["content"]
        if attribute not in holder["content"]:
            holder["key_types"]["content"].append(function("builtins", "str", "TypeNode"))
        holder["content"][attribute] = node

    return change


def set_array(name: str, attribute: str, edit: Callable[[np.ndarray], np.ndarray | None]) -> Change:
    """A change to an array of the object of a class: `edit` changes it in place, or gives another."""

    def change(schema: dict, files: dict) -> None:
        node = of_class(schema, name)
        holder = node["content"]["content"]
        edit_array(holder[attribute], files, edit)

    return change


def edit_array(node: dict, files: dict, edit: Callable[[np.ndarray], np.ndarray | None]) -> None:
    array = np.load(io.BytesIO(files[node["file"]]))
    other = edit(array)
    buffer = io.BytesIO()
    np.save(buffer, array if other is None else other)
    node["file"] = f"changed-{len(files)}.npy"
    files[node["file"]] = buffer.getvalue()


def edit_field(field: str, position: int, value: int | float) -> Callable[[np.ndarray], None]:
    def edit(array: np.ndarray) -> None:
        array[field][position] = value

    return edit


def tree_nodes(field: str, position: int, value: int | float) -> bytes:
    """A decision tree with one number of one node changed."""
    return patched(plain(), set_array("Tree", "nodes", edit_field(field, position, value)))


def header(text: str) -> bytes:
    """An array file of 64 bytes whose header is `text`."""
    padded = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + bytes(64)


def claimed(text: str) -> bytes:
    def change(schema: dict, files: dict) -> None:
        node = state(schema, "Tree")["values"]
        files[node["file"]] = header(text)

    return patched(plain(), change)


def pickled(marker: str) -> bytes:
    """An array of objects, which numpy would unpickle: it touches the marker."""
    import os

    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {marker}",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)

    def change(schema: dict, files: dict) -> None:
        files[state(schema, "Tree")["values"]["file"]] = buffer.getvalue()

    return patched(plain(), change)


def transformer(func: dict | None = None, **attributes: dict) -> bytes:
    """A logarithm before a linear model, its function another."""
    if func is not None:
        attributes["func"] = func

    def change(schema: dict, files: dict) -> None:
        for name, node in attributes.items():
            set_attribute("FunctionTransformer", name, node)(schema, files)

    return patched(logarithm(), change)


@cache
def logarithm() -> bytes:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    rows = sklearn_models.numbers()
    return dumped(make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(rows, rows[:, 0]))


def code(marker: str) -> dict[str, tuple[Callable[[], bytes], str]]:
    """Files that would run code, by name, and a word of the sentence that refuses each."""
    touch = f"touch {marker}"
    os_system = function("os", "system")
    partial = function(
        "functools",
        "partial",
        "PartialNode",
        content={
            "func": os_system,
            "args": text_tuple(touch),
            "kwds": plain_node(None),
            "namespace": plain_node(None),
        },
    )
    caller = function("operator", "methodcaller", "OperatorFuncNode", attrs=text_tuple("system", touch))
    method = function("os", "PathLike", "MethodNode", content={"func": "system", "obj": os_system})
    popen = function("subprocess", "Popen", "ConstructorFromReduceNode", content=text_tuple(touch))
    kind = function("builtins", "eval", "TypeNode")
    logarithms = function("numpy", "log")
    return {
        "os.system": (lambda: transformer(os_system), "os.system"),
        "partial": (lambda: transformer(partial), "os.system"),
        "methodcaller": (lambda: transformer(caller), "operator.methodcaller"),
        "bound method": (lambda: transformer(method), "os.PathLike"),
        "constructor": (lambda: transformer(popen), "subprocess.Popen"),
        "eval": (lambda: transformer(kind), "builtins.eval"),
        "object": (lambda: transformer(function("subprocess", "Popen", "ObjectNode")), "subprocess.Popen"),
        "numpy.load": (lambda: transformer(function("numpy", "fromfile")), "numpy.fromfile"),
        "arguments": (lambda: transformer(kw_args=text_tuple(touch)), "kw_args"),
        "loss": (
            lambda: transformer(function("subprocess", "Popen", "LossNode", content=text_tuple(touch))),
            "subprocess.Popen",
        ),
        "tree of another kind": (
            lambda: patched(plain(), lambda schema, files: of_class(schema, "Tree").update(__module__="os")),
            "os.Tree",
        ),
        "key": (lambda: patched(plain(), _evil_key), "os.system"),
        "unknown loader": (lambda: transformer(function("os", "system", "EvilNode")), "os.system"),
        "method replaced": (
            lambda: patched(logarithm(), set_attribute("LinearRegression", "predict", plain_node(1))),
            "LinearRegression.predict",
        ),
        "libsvm's kind": (
            lambda: patched(zoo("svc"), set_attribute("SVC", "_impl", plain_node("epsilon_svr"))),
            "SVC._impl",
        ),
        "pickled array": (lambda: pickled(marker), "pickled"),
        "metric": (
            lambda: patched(zoo("neighbours"), set_attribute("KNeighborsClassifier", "metric", logarithms)),
            "metric of its KNeighborsClassifier is a function",
        ),
        "kernel": (
            lambda: patched(zoo("svc"), set_attribute("SVC", "kernel", logarithms)),
            "kernel of its SVC is a function",
        ),
        "file vectorizer": (_vectorizer, "opens the files"),
        "memory": (
            lambda: patched(logarithm(), set_attribute("Pipeline", "memory", plain_node(marker))),
            "on disk",
        ),
        "joblib": (_joblib, "on disk"),
    }


def _evil_key(schema: dict, files: dict) -> None:
    kinds = of_class(schema, "DecisionTreeClassifier")["content"]["key_types"]
    kinds["content"][0] = function("os", "system", "TypeNode")


def _vectorizer() -> bytes:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["one two", "three four"], [0, 1])
    model[0].input = "filename"
    return dumped(model)


def _joblib() -> bytes:
    node = function("joblib.memory", "Memory", "ObjectNode", content=plain_node(None))
    return patched(logarithm(), set_attribute("Pipeline", "memory", node))


def crashes() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Files that would lead C code out of bounds."""

    damaged = "trees is damaged"
    return {
        "child beyond": (lambda: tree_nodes("left_child", 0, 10**6), damaged),
        "child below": (lambda: tree_nodes("right_child", 0, -7), damaged),
        "child itself": (lambda: tree_nodes("left_child", 1, 1), damaged),
        "child shared": (lambda: tree_nodes("right_child", 0, 1), damaged),
        "half a leaf": (lambda: tree_nodes("left_child", 0, -1), damaged),
        "feature beyond": (lambda: tree_nodes("feature", 0, 10**9), damaged),
        "feature below": (lambda: tree_nodes("feature", 0, -5), damaged),
        "threshold": (lambda: tree_nodes("threshold", 0, np.nan), damaged),
        "nodes counted": (lambda: patched(plain(), _counts("Tree", "node_count", 10**9)), damaged),
        "nodes not a number": (lambda: patched(plain(), _counts("Tree", "node_count", float("nan"))), damaged),
        "nodes shared": (lambda: patched(plain(), _shared_number), damaged),
        "values": (lambda: patched(plain(), set_array("Tree", "values", _shorter)), damaged),
        "classes": (lambda: patched(plain(), _no_classes), damaged),
        "several outputs": (lambda: patched(plain(), _outputs), "several outputs"),
        "tree of fewer columns": (
            lambda: patched(plain(), _counts("DecisionTreeClassifier", "n_features_in_", 2)),
            "other features",
        ),
        "forest of fewer columns": (
            lambda: patched(zoo("forest"), _counts("RandomForestClassifier", "n_features_in_", 2)),
            "other features",
        ),
        "first guess": (lambda: patched(zoo("boosting-classes"), _first_guess), damaged),
        "stages": (lambda: patched(zoo("boosting-classes"), _narrow_stages), damaged),
        "histogram child": (_predictor("left", 0, 10**6), damaged),
        "histogram feature": (_predictor("feature_idx", 0, 10**6), damaged),
        "histogram set": (_set_beyond, damaged),
        "histogram code": (lambda: patched(zoo("histogram-codes"), _codes), "a code that there is not"),
        "histogram columns": (lambda: patched(zoo("histogram-codes"), _fewer_columns), "preparation"),
        "support counted": (lambda: patched(zoo("svc"), set_array("SVC", "_n_support", _beyond)), "differ in size"),
        "support weights": (lambda: patched(zoo("svc"), set_array("SVC", "_dual_coef_", _narrower)), "differ in size"),
        "support columns": (lambda: patched(zoo("svc"), set_array("SVC", "support_vectors_", _narrower)), "differ in"),
        "support offsets": (
            lambda: patched(zoo("svc-classes"), set_array("SVC", "_intercept_", _shorter)),
            "differ in",
        ),
        "support sparse": (lambda: patched(zoo("svc-sparse"), _sparse_index), "damaged"),
        "precomputed": (lambda: patched(zoo("svc"), _counts("SVC", "kernel", "precomputed")), "precomputed"),
        "neighbours columns": (
            lambda: patched(zoo("neighbours"), set_array("KNeighborsClassifier", "_fit_X", _narrower)),
            "another size",
        ),
        "neighbours label": (
            lambda: patched(zoo("neighbours"), set_array("KNeighborsClassifier", "_y", _beyond)),
            "none of its classes",
        ),
        "neighbours asked": (
            lambda: patched(zoo("neighbours"), _counts("KNeighborsClassifier", "n_neighbors", 10**9)),
            "more neighbours",
        ),
        "one-hot columns": (lambda: patched(zoo("people"), _outs), "another number of columns"),
        "one-hot order": (lambda: patched(zoo("bins"), _unsorted), "not in order"),
        "one-hot drop": (lambda: patched(zoo("people-missing"), _drop), "drops a category"),
        "polynomial": (
            lambda: patched(zoo("people-target"), _counts("PolynomialFeatures", "degree", 10**6)),
            "1,000,000 columns",
        ),
        "stacked": (lambda: patched(zoo("stacking"), _stacked), "no prediction"),
    }


def _shared_number(schema: dict, files: dict) -> None:
    """The count of nodes is the same object as a far larger number before it."""
    large = {**plain_node(10**9), "__id__": 7}
    set_attribute("DecisionTreeClassifier", "max_depth", large)(schema, files)
    state(schema, "Tree")["node_count"] = {**plain_node(3), "__id__": 7}


def _first_guess(schema: dict, files: dict) -> None:
    """The constant that three classes start from is one of two."""
    dummy = state(schema, "DummyClassifier")
    dummy["n_classes_"] = plain_node(2)
    for name in ("classes_", "class_prior_"):
        edit_array(dummy[name], files, lambda array: array[:2])


def _narrow_stages(schema: dict, files: dict) -> None:
    state(schema, "GradientBoostingClassifier")["n_trees_per_iteration_"] = plain_node(1)


def _fewer_columns(schema: dict, files: dict) -> None:
    node = state(schema, "ColumnTransformer")["_transformer_to_input_indices"]["content"]["numerical"]
    node["content"] = node["content"][:1]


def _beyond(array: np.ndarray) -> None:
    array.ravel()[0] = 9000


def _shorter(array: np.ndarray) -> np.ndarray:
    return array[:-1]


def _narrower(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[:, :-1])


def _descending(array: np.ndarray) -> np.ndarray:
    return array[::-1].copy()


def _unsorted(schema: dict, files: dict) -> None:
    edit_array(state(schema, "OneHotEncoder")["categories_"]["content"][0], files, _descending)


def _codes(schema: dict, files: dict) -> None:
    edit_array(state(schema, "_BinMapper")["bin_thresholds_"]["content"][0], files, _beyond)


def _counts(name: str, attribute: str, value: Any) -> Change:
    return set_attribute(name, attribute, plain_node(value))


def _outs(schema: dict, files: dict) -> None:
    state(schema, "OneHotEncoder")["_n_features_outs"]["content"][0] = plain_node(1)


def _predictor(field: str, position: int, value: int) -> Callable[[], bytes]:
    change = set_array("TreePredictor", "nodes", edit_field(field, position, value))
    return lambda: patched(zoo("histogram-codes"), change)


def _no_classes(schema: dict, files: dict) -> None:
    node = of_class(schema, "Tree")["__reduce__"]["args"]["content"][1]
    edit_array(node, files, lambda array: array[:0])


def _outputs(schema: dict, files: dict) -> None:
    of_class(schema, "Tree")["__reduce__"]["args"]["content"][2] = plain_node(1000)


def _set_beyond() -> bytes:
    def change(schema: dict, files: dict) -> None:
        for node in nodes(schema):
            if node["__class__"] == "TreePredictor":
                edit_array(node["content"]["content"]["nodes"], files, everywhere)

    def everywhere(array: np.ndarray) -> None:
        array["bitset_idx"] = 10**6

    return patched(zoo("histogram-codes"), change)


def _sparse_index(schema: dict, files: dict) -> None:
    node = state(schema, "SVC")["support_vectors_"]
    inner = unpack(files[node["file"]])
    indices = np.load(io.BytesIO(inner["indices.npy"]))
    indices[0] = 10**6
    buffer = io.BytesIO()
    np.save(buffer, indices)
    inner["indices.npy"] = buffer.getvalue()
    files[node["file"]] = pack(inner)


def _drop(schema: dict, files: dict) -> None:
    for node in nodes(schema):
        if node["__class__"] == "OneHotEncoder" and "_drop_idx_after_grouping" in node["content"]["content"]:
            dropped = node["content"]["content"]["_drop_idx_after_grouping"]
            dropped["content"] = [plain_node(-5) for _ in dropped["content"]]


def _stacked(schema: dict, files: dict) -> None:
    state(schema, "StackingClassifier")["stack_method_"]["content"][0] = plain_node("fit")


def floods() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Files that claim or unpack to more than they are."""
    one = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
    return {
        "claimed shape": (lambda: claimed(one % "1000000000, 1, 3"), "claims the shape"),
        "claimed below zero": (lambda: claimed(one % "-1, 1, 3"), "claims the shape"),
        "claimed widthless": (lambda: claimed((one % "1000000000000,").replace("<f8", "<U0")), "of the type"),
        "claimed empty": (lambda: claimed(one % "0, 1000000000000"), "claims the shape"),
        "claimed dates": (lambda: claimed((one % "8,").replace("<f8", "<M8[s]")), "of the type"),
        "zip bomb": (
            lambda: pack({**unpack(plain()), "zeros.npy": bytes(64 << 20)}, zipfile.ZIP_DEFLATED),
            "unpacks to",
        ),
        "one array many times": (_many_times, "more than"),
        "deep": (_deep, "deep"),
        "deep text": (lambda: pack({"schema.json": b'{"__class__":' + b"[" * 200_000}), "damaged"),
        "traversal": (lambda: pack({**unpack(plain()), "../../evil.npy": b"x"}), "leads to a folder"),
        "absolute": (lambda: pack({**unpack(plain()), "/etc/evil": b"x"}), "leads to a folder"),
        "twice": (_twice, "twice"),
        "packed oddly": (lambda: pack(unpack(plain()), zipfile.ZIP_LZMA), "packed"),
        "cut short": (lambda: plain()[: len(plain()) // 2], ""),
        "garbage": (lambda: b"PK\x03\x04" + np.random.default_rng(0).bytes(5000), ""),
        "garbage inside": (_garbage_inside, "damaged"),
        "no schema": (lambda: pack({"other.json": b"{}"}), ""),
        "no model": (lambda: pack({"schema.json": b'{"__class__": 3}'}), "damaged"),
        "missing array": (lambda: pack({"schema.json": unpack(plain())["schema.json"]}), "damaged"),
    }


def _many_times() -> bytes:
    """A list that names one array of 1 MB 2,000 times."""
    rows = np.zeros(1 << 17)
    buffer = io.BytesIO()
    np.save(buffer, rows)
    node = function("numpy", "ndarray", "NdArrayNode", type="numpy", file="big.npy")

    def change(schema: dict, files: dict) -> None:
        files["big.npy"] = buffer.getvalue()
        many = function("builtins", "list", "ListNode", content=[node] * 2000)
        set_attribute("DecisionTreeClassifier", "max_depth", many)(schema, files)

    return patched(plain(), change)


def _deep() -> bytes:
    node = plain_node(1)
    for _ in range(150):
        node = function("builtins", "list", "ListNode", content=[node])
    return patched(plain(), set_attribute("DecisionTreeClassifier", "max_depth", node))


def _twice() -> bytes:
    import warnings

    buffer = io.BytesIO(plain())
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("schema.json", unpack(plain())["schema.json"])
    return buffer.getvalue()


def _garbage_inside() -> bytes:
    data = bytearray(plain())
    start = data.find(b"NUMPY")
    data[start : start + 40] = bytes(40)
    return bytes(data)


def others() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Sound files of models that are not for here, each with the reason."""
    rows = sklearn_models.numbers()[:100]
    two = (rows[:, 0] > 2).astype(int)

    def fit(module: str, name: str, labels: np.ndarray | None = two, **more: Any) -> Callable[[], bytes]:
        from importlib import import_module

        kind = getattr(import_module(f"sklearn.{module}"), name)
        return lambda: dumped(kind(**more).fit(rows, labels))

    def many(module: str, name: str, **more: Any) -> Callable[[], bytes]:
        return fit(module, name, np.column_stack([two, 1 - two]), **more)

    def renamed(start: str, name: str) -> Callable[[], bytes]:
        def change(schema: dict, files: dict) -> None:
            of_class(schema, "DecisionTreeClassifier").update(__module__=start, __class__=name)

        return lambda: patched(plain(), change)

    def hard() -> bytes:
        from sklearn.ensemble import VotingClassifier
        from sklearn.naive_bayes import GaussianNB

        return dumped(VotingClassifier([("a", GaussianNB())]).fit(rows, two))

    def version() -> bytes:
        change = set_array("Tree", "nodes", lambda array: array[list(array.dtype.names[:-1])].copy())
        return patched(plain(), change)

    def unfitted() -> bytes:
        from sklearn.linear_model import LogisticRegression

        return dumped(LogisticRegression())

    def unknown(schema: dict, files: dict) -> None:
        edit_array(state(schema, "LinearRegression")["coef_"], files, lambda array: array * np.nan)

    return {
        "clusters": (fit("cluster", "KMeans", n_clusters=2), "groups"),
        "outliers": (fit("ensemble", "IsolationForest", n_estimators=2), "outliers"),
        "only preprocessing": (fit("preprocessing", "StandardScaler"), "predicts no label"),
        "several labels": (many("neighbors", "KNeighborsClassifier"), "several labels"),
        "several labels of a network": (many("neural_network", "MLPClassifier", max_iter=5), "one label"),
        "several labels of a forest": (many("ensemble", "RandomForestClassifier", n_estimators=2), "several outputs"),
        "several numbers": (many("linear_model", "LinearRegression"), "2 numbers a row"),
        "xgboost": (renamed("xgboost.sklearn", "XGBClassifier"), "model.ubj"),
        "lightgbm": (renamed("lightgbm.sklearn", "LGBMClassifier"), "model.txt"),
        "catboost": (renamed("catboost.core", "CatBoostClassifier"), "model.cbm"),
        "random": (fit("dummy", "DummyClassifier", strategy="stratified"), "at random"),
        "hard votes": (hard, "voting='soft'"),
        "another version": (version, "another version"),
        "not fitted": (unfitted, "not fitted"),
        "not a number": (lambda: patched(logarithm(), unknown), ""),
    }
