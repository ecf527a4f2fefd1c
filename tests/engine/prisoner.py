"""What a worker taken over by a file would try, and the libraries it needs; run fenced and, as a control, unfenced.

`python -m engine.sandbox tests.engine.prisoner MEMORY SECONDS` reads lines `[deed, argument]` and answers each with
`{"done": value}` or `{"error": kind, "number": errno}`.
"""

import ctypes
import io
import json
import mmap
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Tries what it is told to, line by line."""
    for line in sys.stdin:
        deed, argument = json.loads(line)
        try:
            answer = {"done": DEEDS[deed](argument)}
        except Exception as error:
            answer = {"error": type(error).__name__, "number": getattr(error, "errno", None), "text": str(error)}
        print(json.dumps(answer), flush=True)


def _read(path: str) -> int:
    with Path(path).open("rb") as file:
        return len(file.read(100))


def _list(path: str) -> int:
    return len(list(Path(path).iterdir()))


def _write(path: str) -> None:
    Path(path).write_bytes(b"")


def _make_folder(path: str) -> None:
    Path(path).mkdir()


def _link(path: str) -> None:
    Path(path).symlink_to("somewhere")


def _remove(path: str) -> None:
    Path(path).unlink()


def _rename(path: str) -> None:
    Path(path).rename(f"{path}.other")


def _allow_all(path: str) -> None:
    Path(path).chmod(0o777)


def _antedate(path: str) -> None:
    os.utime(path, (0, 0))


def _cut(path: str) -> None:
    os.truncate(path, 0)


def _shell(_: None) -> int:
    return subprocess.run(["/bin/true"], check=True).returncode


def _replace_program(_: None) -> None:
    os.execv("/bin/true", ["/bin/true"])


def _fork(_: None) -> int:
    child = os.fork()
    if not child:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _fork_bomb(_: None) -> int:
    started = 0
    for _ in range(200):
        try:
            _fork(None)
            started += 1
        except OSError:
            continue
    return started


def _thread_bomb(most: int) -> int:
    over, started = threading.Event(), []
    try:
        for _ in range(most):
            each = threading.Thread(target=over.wait, daemon=True)
            each.start()
            started.append(each)
    except (RuntimeError, MemoryError):
        pass
    over.set()
    return len(started)


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def _listen(_: None) -> None:
    socket.create_server(("127.0.0.1", 0)).close()


def _datagram(port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        return out.sendto(b"secret", ("127.0.0.1", port))


def _unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(path.replace("@", "\0", 1))


def _pair(_: None) -> None:
    for each in socket.socketpair():
        each.close()


def _signal(pid: int) -> None:
    os.kill(pid, 0)


def _limit_other(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _raise_limit(_: None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def _look_into(pid: int) -> int:
    """process_vm_readv of nothing: refused by rights, or by the fence, before it is looked what to read."""
    return _checked(ctypes.CDLL(None, use_errno=True).process_vm_readv(pid, None, 0, None, 0, 0))


def _be_traced_by(_: None) -> int:
    return _checked(ctypes.CDLL(None, use_errno=True).ptrace(0, 0, None, None))


def _call(number: int) -> int:
    nothing = [ctypes.c_long(-1)] * 6
    return _checked(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *nothing))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _take(mebibytes: int) -> int:
    return int(np.ones(mebibytes << 17)[-1])


def _take_shared(mebibytes: int) -> int:
    with mmap.mmap(-1, mebibytes << 20) as shared:
        return len(shared)


def _hide(mebibytes: int) -> int:
    """Memory that is a file without a name, which no limit of addresses counts."""
    file = os.memfd_create("hidden")
    try:
        return os.write(file, bytes(mebibytes << 20))
    finally:
        os.close(file)


def _open_files(count: int) -> int:
    with ExitStack() as stack:
        return len([stack.enter_context(Path("/dev/null").open()) for _ in range(count)])


def _compute(seconds: float) -> None:
    """Keeps one processor busy, and no other thread of Python running."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        re.match("(a+)+$", "a" * 22 + "b")


def _die(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


def _status(_: None) -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _environment(_: None) -> dict[str, str]:
    return dict(os.environ)


# --- libraries -------------------------------------------------------------------------------------------------------


def _table() -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(1).normal(size=(60, 4))
    return rows, (rows[:, 0] > 0).astype(int)


def _torch(_: None) -> int:
    import torch
    from captum.attr import IntegratedGradients

    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 2))
    return IntegratedGradients(network).attribute(torch.ones(4, 1, 8, 8), target=0).numel()


def _sklearn(_: None) -> int:
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = _table()
    forest = RandomForestClassifier(5, n_jobs=2).fit(rows, labels)
    again = skops.io.loads(skops.io.dumps(forest), trusted=skops.io.get_untrusted_types(data=skops.io.dumps(forest)))
    return len(again.predict(rows))


def _xgboost(_: None) -> int:
    import xgboost

    rows, labels = _table()
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(rows, labels), 3)
    return len(xgboost.Booster(model_file=booster.save_raw("json")).predict(xgboost.DMatrix(rows)))


def _lightgbm(_: None) -> int:
    import lightgbm

    rows, labels = _table()
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(rows, labels), 3)
    return len(lightgbm.Booster(model_str=booster.model_to_string()).predict(rows))


def _catboost(model: str) -> int:
    import base64

    from catboost import CatBoostClassifier

    return len(CatBoostClassifier().load_model(blob=base64.b64decode(model)).predict(_table()[0]))


def _onnxruntime(_: None) -> int:
    import onnxruntime
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return len(session.run(None, {"x": _table()[0].astype(np.float32)})[0])


def _transformers(_: None) -> int:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    network = BertForSequenceClassification(BertConfig(vocab_size=10, **sizes))
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, "a"))
    return network(torch.tensor([Tokenizer.from_str(tokenizer.to_str()).encode("b").ids])).logits.shape[1]


def _shap(_: None) -> int:
    import shap
    from sklearn.tree import DecisionTreeRegressor

    rows, labels = _table()
    tree = DecisionTreeRegressor(max_depth=2).fit(rows, labels)
    return shap.TreeExplainer(tree, rows, feature_perturbation="interventional").shap_values(rows[:5]).size


def _tables(_: None) -> int:
    import pandas
    import pyarrow
    from pyarrow import csv, parquet

    table = csv.read_csv(io.BytesIO(b"a,b\n1,x\n2,y\n"))
    whole = io.BytesIO()
    parquet.write_table(table, whole)
    return len(parquet.read_table(pyarrow.BufferReader(whole.getvalue()))) + len(
        pandas.read_csv(io.BytesIO(b"a;b\n1;2\n"), sep=";")
    )


def _image(_: None) -> int:
    from PIL import Image

    drawn = io.BytesIO()
    Image.new("L", (8, 8)).save(drawn, "png")
    return Image.open(io.BytesIO(drawn.getvalue())).size[0]


def _tree_shap(_: None) -> int:
    from explainers.trees import warm

    warm.main()
    return 0


def _one_kernel(_: None) -> bool:
    from explainers.trees.tables import ones

    return ones(3) == 2


DEEDS: dict[str, Callable[[Any], Any]] = {
    name.removeprefix("_"): deed for name, deed in list(globals().items()) if name.startswith("_") and callable(deed)
}
