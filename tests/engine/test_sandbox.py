"""The fence around workers: what it stops, that the same is possible without it, and what still works inside."""

import base64
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserFacingError
from core.nouns import Subject
from engine import sandbox
from engine.engine import Engine, Question
from engine.pool import WorkerProcess
from storage.home import home
from tests.engine.conftest import gone, until
from tests.engine.doubles import Holding, Inside, Ones

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "explainers" / "trees" / "__pycache__"
DENIED = ("PermissionError", errno.EACCES)
REFUSED = ("PermissionError", errno.EPERM)
linux = pytest.mark.skipif(sys.platform != "linux", reason="the whole fence is Linux's")
pytestmark = linux

Tell = Callable[..., Any]


@contextmanager
def prisoner(*, fenced: bool = True, memory: int = 6144, seconds: int = 0, **environment: str) -> Iterator[Tell]:
    """A process that tries what it is told; its answers as values, or as (kind, number) of what stopped it."""
    start = ["-m", "engine.sandbox", "tests.engine.prisoner", str(memory), str(seconds)]
    if not fenced:
        start = ["-c", "from tests.engine.prisoner import main; main()"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    given = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "2", "MPLCONFIGDIR": "/tmp"} | environment
    with subprocess.Popen([sys.executable, *start], cwd=ROOT, env=given, text=True, **pipes) as process:

        def tell(deed: str, argument: Any = None) -> Any:
            process.stdin.write(json.dumps([deed, argument]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                return process.wait()
            answer = json.loads(line)
            return answer["done"] if "done" in answer else (answer["error"], answer["number"])

        tell.process = process
        yield tell
        process.kill()


@pytest.fixture(scope="module")
def fenced() -> Iterator[Tell]:
    with prisoner() as tell:
        yield tell


@pytest.fixture(scope="module")
def free() -> Iterator[Tell]:
    with prisoner(fenced=False) as tell:
        yield tell


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file of this account's."""
    file = tmp_path / "secret"
    file.write_text("hunter2")
    return str(file)


@pytest.mark.parametrize("deed", ["read", "write", "cut", "allow_all", "antedate", "rename", "remove"])
def test_a_file_of_this_account_is_neither_read_nor_changed(fenced: Tell, free: Tell, secret: str, deed: str) -> None:
    before = Path(secret).stat()
    assert fenced(deed, secret) in (DENIED, REFUSED)
    after = Path(secret).stat()
    assert (after.st_size, after.st_mode, after.st_mtime) == (before.st_size, before.st_mode, before.st_mtime)
    assert not isinstance(free(deed, secret), list), "without the fence nothing stops it"


@pytest.mark.parametrize("deed", ["write", "make_folder", "link"])
def test_nothing_is_made(fenced: Tell, free: Tell, tmp_path: Path, deed: str) -> None:
    place = tmp_path / "new"
    assert fenced(deed, str(place)) == DENIED
    assert not place.is_symlink() and not place.exists()
    assert free(deed, str(place)) is None


def test_what_is_not_code_is_not_read(fenced: Tell, free: Tell) -> None:
    for path in ("/etc/passwd", str(ROOT / "README.md"), str(ROOT / "sample_models" / "loans" / "data.parquet")):
        assert fenced("read", path) == DENIED
        assert free("read", path) == 100
    for path in ("/", "/tmp", str(ROOT), str(ROOT / "sample_models"), "/proc", str(Path.home())):
        assert fenced("list", path) == DENIED
        assert isinstance(free("list", path), int)


def test_the_evidence_is_not_read(fenced: Tell) -> None:
    kept = ROOT / ".assay" / "for-the-fence"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("evidence")
    try:
        assert fenced("read", str(kept)) == DENIED
        assert fenced("list", str(kept.parent)) == DENIED
    finally:
        kept.unlink()


def test_compiled_kernels_and_code_are_read_and_never_written(fenced: Tell) -> None:
    for folder in (CACHE, ROOT / "engine", ROOT / "sample_models"):
        assert fenced("write", str(folder / "poison.nbi")) == DENIED
    assert fenced("read", str(ROOT / "engine" / "sandbox.py")) == 100
    assert isinstance(fenced("list", str(ROOT / "explainers" / "trees")), int)


def test_another_process_is_not_read(fenced: Tell, free: Tell) -> None:
    for file in ("environ", "maps", "cmdline"):
        assert fenced("read", f"/proc/{os.getpid()}/{file}") == DENIED
        assert free("read", f"/proc/{os.getpid()}/{file}")
    assert fenced("read", f"/proc/{fenced.process.pid}/maps") == 100


# --- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["shell", "fork"])
def test_no_process_is_started(fenced: Tell, free: Tell, deed: str) -> None:
    assert fenced(deed) == REFUSED
    assert free(deed) == 0


def test_no_other_program_takes_its_place(fenced: Tell) -> None:
    assert fenced("replace_program") == REFUSED


def test_a_fork_bomb_starts_nothing(fenced: Tell) -> None:
    assert fenced("fork_bomb") == 0


def test_threads_end_where_memory_does() -> None:
    with prisoner(memory=1024) as tell:
        assert 0 < tell("thread_bomb", 10_000) < 1000


@pytest.mark.parametrize("deed", ["signal", "limit_other", "look_into"])
def test_another_process_is_left_alone(fenced: Tell, free: Tell, deed: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        assert fenced(deed, other.pid) == REFUSED
        assert fenced(deed, os.getpid()) == REFUSED
        assert not isinstance(free(deed, other.pid), list)
        other.kill()


def test_a_group_of_processes_gets_no_signal(fenced: Tell) -> None:
    assert fenced("signal", 0) == REFUSED
    assert fenced("signal", -1) == REFUSED


def test_limits_stay(fenced: Tell) -> None:
    assert fenced("raise_limit")[0] in ("PermissionError", "ValueError")


# --- the kernel ------------------------------------------------------------------------------------------------------


def test_every_barred_call_is_refused(fenced: Tell) -> None:
    column = sandbox._MACHINES[os.uname().machine][1]
    for name, numbers in sandbox._BARRED.items():
        if numbers[column] >= 0:
            assert fenced("call", numbers[column]) == REFUSED, name


def test_newer_calls_do_not_exist(fenced: Tell) -> None:
    for number in (*range(424, 480), 0x40000000 | 41):
        assert fenced("call", number) == ("OSError", errno.ENOSYS)


def test_numbers_of_calls_are_those_of_this_kernel() -> None:
    """The table against the C library's header, where it is installed."""
    headers = [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h")]
    for column, header in enumerate(headers):
        if not header.is_file():
            pytest.skip("no header of system calls here")
        legacy = ["fork", "vfork", "chmod", "chown", "lchown", "utime", "utimes", "futimesat"] if column else ()
        known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
        for name, numbers in sandbox._BARRED.items():
            assert numbers[column] == int(-1 if name in legacy else known[name]), name


def test_it_has_no_rights_and_gets_none(fenced: Tell) -> None:
    status = fenced("status")
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert int(status["CapEff"], 16) & ~0b110 == 0
    assert int(status["CapPrm"], 16) & ~0b110 == 0


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_no_connection_is_made(fenced: Tell, free: Tell, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert fenced("connect", port) == REFUSED
    assert fenced("listen") == REFUSED
    assert free("connect", port) is None


def test_no_datagram_is_sent(fenced: Tell, free: Tell) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        assert fenced("datagram", server.getsockname()[1]) == REFUSED
        assert free("datagram", server.getsockname()[1]) == 6


@pytest.mark.parametrize("abstract", [False, True])
def test_no_socket_of_this_machine_is_reached(fenced: Tell, free: Tell, tmp_path: Path, abstract: bool) -> None:
    name = f"@assay-{os.getpid()}" if abstract else str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name.replace("@", "\0", 1))
        server.listen()
        assert fenced("unix", name) == REFUSED
        assert fenced("pair") == REFUSED
        assert free("unix", name) is None


# --- memory and time -------------------------------------------------------------------------------------------------


def test_memory_is_bounded(fenced: Tell) -> None:
    assert fenced("take", 20 << 10)[0] == "MemoryError"
    assert fenced("take_shared", 20 << 10) == ("OSError", errno.ENOMEM)
    assert fenced("hide", 8)[1] in (errno.EFBIG, errno.ENOSPC)
    assert fenced("take", 64) == 1


def test_open_files_are_bounded(fenced: Tell, free: Tell) -> None:
    assert fenced("open_files", 1000) == ("OSError", errno.EMFILE)
    assert fenced("open_files", 100) == 100


def test_processor_time_is_bounded() -> None:
    with prisoner(seconds=1) as tell:
        assert tell("compute", 60) == -signal.SIGXCPU


# --- whole workers ---------------------------------------------------------------------------------------------------


def test_a_worker_is_fenced_when_it_answers(
    shared: Engine, asking: Callable[..., Question], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    facts = shared.ask(asking(Inside(mark=1))).facts
    assert facts == {"seccomp": "2", "threads_fenced": True, "reads_passwd": "PermissionError", "address_space": 8192}


def test_a_worker_knows_no_secret(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_FAKE_SECRET", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    worker = WorkerProcess()
    try:
        environment = Path(f"/proc/{worker.pid}/environ")
        until(lambda: b"MPLCONFIGDIR=" in environment.read_bytes())
        given = environment.read_bytes()
    finally:
        worker.end()
    assert b"hunter2" not in given and b"SECRET" not in given


def test_an_endless_loop_ends_at_its_time_limit(engine: Engine, asking: Callable[..., Question]) -> None:
    with pytest.raises(UserFacingError, match="reached its time limit"):
        engine.submit(asking(Holding()), seconds=3).result()


_ASKS = """
from core.nouns import Target
from engine.engine import Engine, Question
from engine.questions import explain_query
from engine.subjects import load_subject
from tests.engine.doubles import Holding

engine, subject = Engine.open(), load_subject("tumours")
query = explain_query(subject, subject.model(), [0], Target(1, "margin"), subject.reference(3), 0)
job = engine.submit(Question(subject.model(), Holding(), query))
while not job.progress:
    job.wait(0.05)
print(job.worker.pid, flush=True)
job.wait()
"""


def test_a_worker_that_listens_to_nobody_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ASKS],
        cwd=ROOT,
        env={**os.environ, "ASSAY_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        text=True,
    ) as asker:
        pid = int(asker.stdout.readline())
        assert not gone(pid)
        asker.kill()
    until(lambda: gone(pid), 10)


def test_a_worker_outlives_the_thread_that_asked(engine: Engine, asking: Callable[..., Question]) -> None:
    pids: list[int] = []
    for mark in (21, 22):
        asked = threading.Thread(target=lambda mark=mark: pids.append(engine.ask(asking(Ones(mark=mark))).facts["pid"]))
        asked.start()
        asked.join()
    assert pids[0] == pids[1]


def test_a_fence_that_cannot_be_put_up_ends_the_worker() -> None:
    script = (
        "import sys, threading, time; from engine import sandbox; "
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); "
        "sys.argv[1:] = ['tests.engine.prisoner', '1000', '0']; sandbox.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == sandbox.UNFENCED
    assert "before the fence was up" in done.stderr


def test_models_of_two_strangers_never_share_a_worker(
    engine: Engine, asking: Callable[..., Question], tumours: Subject, tmp_path: Path
) -> None:
    def ask(folder: str, mark: int) -> int:
        path = tmp_path / folder / "model.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Path(tumours.model().path).read_bytes())
        question = replace(asking(Ones(mark=mark), lane="long"), model=replace(tumours.model(), path=str(path)))
        return engine.ask(question).facts["pid"]

    first, again, other = ask("one", 31), ask("one", 32), ask("other", 33)
    assert first == again != other
    until(lambda: gone(first))
    assert ask("other", 34) == other
    assert engine.ask(asking(Ones(mark=35), lane="long")).facts["pid"] != other


# --- what still works ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "found"),
    [
        ("torch", 256), ("sklearn", 60), ("xgboost", 60), ("lightgbm", 60), ("onnxruntime", 60), ("transformers", 2),
        ("shap", 20), ("tables", 3), ("image", 8),
    ],
)  # fmt: skip
def test_a_library_works_inside(fenced: Tell, library: str, found: int) -> None:
    pytest.importorskip({"tables": "pyarrow", "image": "PIL"}.get(library, library))
    assert fenced(library) == found


def test_catboost_works_inside(fenced: Tell) -> None:
    catboost = pytest.importorskip("catboost")
    rows = np.random.default_rng(1).normal(size=(60, 4))
    model = catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False).fit(rows, rows[:, 0] > 0)
    assert fenced("catboost", base64.b64encode(model._serialize_model()).decode()) == 60


LOCATORS = "explainers.trees.kept.Named,explainers.trees.kept.BesideTheCode"


def test_kernels_are_taken_as_they_were_compiled() -> None:
    subprocess.run([sys.executable, "-m", "explainers.trees.warm"], cwd=ROOT, check=True)
    with prisoner(NUMBA_CACHE_LOCATOR_CLASSES=LOCATORS) as tell:
        assert tell("tree_shap") == 0
        tell.process.stdin.close()
        assert "compiled again" not in tell.process.stderr.read()


def test_a_kernel_that_was_not_kept_is_compiled_and_not_written(tmp_path: Path) -> None:
    with prisoner(NUMBA_CACHE_LOCATOR_CLASSES=LOCATORS, NUMBA_CACHE_DIR=str(tmp_path)) as tell:
        assert tell("one_kernel") is True
        tell.process.stdin.close()
        assert "compiled again: run python -m explainers.trees.warm" in tell.process.stderr.read()
    assert not list(tmp_path.iterdir())


# --- what a system lacks ---------------------------------------------------------------------------------------------


def test_a_whole_fence_has_no_gaps() -> None:
    if sandbox._landlock_abi() >= 3 and os.uname().machine in sandbox._MACHINES:
        assert sandbox.gaps() == ()


@pytest.mark.parametrize(("platform", "word"), [("win32", "Windows"), ("darwin", "This system")])
def test_other_systems_say_what_they_lack(monkeypatch: pytest.MonkeyPatch, platform: str, word: str) -> None:
    monkeypatch.setattr("engine.sandbox.sys.platform", platform)
    (said,) = sandbox.gaps()
    assert said.startswith(word) and "network" in said


@pytest.mark.parametrize(("abi", "word"), [(0, "no Landlock"), (2, "an old one")])
def test_a_kernel_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, abi: int, word: str) -> None:
    monkeypatch.setattr("engine.sandbox._landlock_abi", lambda: abi)
    monkeypatch.setattr("engine.sandbox._has_seccomp", lambda: False)
    files, calls = sandbox.gaps()
    assert word in files and "use the network" in calls


def test_evidence_among_the_libraries_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", "/usr/lib/assay")
    assert home() == Path("/usr/lib/assay")
    assert any("The evidence lies in" in said for said in sandbox.gaps())
