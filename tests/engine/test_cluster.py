"""A cluster answers with the same digests, loses workers without losing answers, and says in words what failed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest

from attacks import attack
from core.errors import UserFacingError
from core.nouns import Subject, Target
from engine import cluster
from engine.cluster import Cluster, Files
from engine.crew import Asked, Verdict, verified
from engine.engine import Cancelled, Engine, Job, Question, Work
from engine.predict import Predict
from engine.questions import attack_query, explain_query, prediction_query
from engine.subjects import load_subject
from explainers import explainer
from tests.engine.conftest import begun, evidence, gone, until
from tests.engine.doubles import Crashing, Failing, Ones, Refusing, Sleeping

ROOT = Path(__file__).parents[2]
Asking = Callable[..., Question]


class Dask:
    """A scheduler and workers as an administrator starts them, each a process."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._settings = settings
        self._processes: list[subprocess.Popen] = []
        self.workers: list[subprocess.Popen] = []
        self.address = ""
        self.scheduler: subprocess.Popen | None = None

    def start(self, port: int = 0) -> None:
        """Starts the scheduler and learns its address."""
        file = self._folder / "address"
        file.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--scheduler-file", str(file)]
        options += ["--protocol", "tls" if self._settings else "tcp"]
        self.scheduler = self._run("dask_scheduler", *options)
        until(lambda: file.exists() and '"address"' in file.read_text())
        self.address = file.read_text().split('"address": "')[1].split('"')[0]

    def add_worker(self) -> subprocess.Popen:
        """Starts one worker that takes one question at a time."""
        options = ["--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--no-dashboard"]
        worker = self._run("dask_worker", self.address, *options, "--local-directory", str(self._folder))
        self.workers.append(worker)
        return worker

    def end(self) -> None:
        """Ends everything."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _run(self, program: str, *options: str) -> subprocess.Popen:
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *options],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | self._settings,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process


@contextmanager
def running(folder: Path, workers: int, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Dask]:
    """A scheduler and so many workers, over TLS where the settings for it are given."""
    dask = Dask(folder, settings)
    try:
        dask.start()
        for _ in range(workers):
            dask.add_worker()
        yield dask
    finally:
        dask.end()


@contextmanager
def asking_on(dask: Dask, folder: Path) -> Iterator[Engine]:
    """An engine with an empty store whose questions go to the cluster, once all its workers are there."""
    engine = Engine(evidence(folder / "far"), dask.address)
    try:
        until(lambda: workers_of(engine) == len(dask.workers))
        yield engine
    finally:
        engine.close()


def workers_of(engine: Engine) -> int:
    """How many workers the cluster has, as the engine sees it; 0 also where it cannot be reached."""
    there = engine._answering
    try:
        return there._count(there._connected()) or 0
    except (UserFacingError, OSError):
        return 0


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    with running(tmp_path_factory.mktemp("dask"), 2) as started:
        yield started


@pytest.fixture(scope="module")
def far(dask: Dask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with asking_on(dask, tmp_path_factory.mktemp("home")) as engine:
        yield engine


@pytest.fixture(autouse=True)
def only_there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No question of these tests may be computed in the process that asks, but where a test compares."""
    if "shared" not in request.fixturenames:
        monkeypatch.setattr("engine.crew.WorkerProcess", None)


def sentence(job: Job) -> str:
    with pytest.raises(UserFacingError) as caught:
        job.result()
    return str(caught.value)


def real_questions() -> list[Question]:
    """A prediction, a tree explanation, a sampled explanation and a gradient attack on samples."""
    tumours, digits = load_subject("tumours"), load_subject("digits")
    model, net = tumours.model(), digits.model()
    query = explain_query(tumours, model, [0], Target(1, "margin"), tumours.reference(3))
    return [
        Question(model, Predict(), prediction_query(tumours, model, [0, 1])),
        Question(model, explainer("tree_shap"), query),
        Question(model, explainer("permutation_shap"), query),
        Question(net, attack("pgd", size=0.1), attack_query(digits, net, [0, 1]), "long"),
    ]


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4), ids=["predict", "tree_shap", "permutation_shap", "pgd"])
def test_answers_have_the_same_digest_as_at_home(far: Engine, shared: Engine, number: int) -> None:
    question = real_questions()[number]
    there = far.ask(question)
    assert there.digest == shared.ask(question).digest
    assert far.store.answer(question.key).digest == there.digest


def test_workers_of_the_cluster_are_fenced_and_keep_on(far: Engine, dask: Dask, asking: Asking) -> None:
    """The process that answers is no Dask worker but a child of one, and is used again."""
    pids = {far.ask(asking(Ones(mark=mark), lane="long")).facts["pid"] for mark in range(6)}
    assert pids.isdisjoint(each.pid for each in dask.workers)
    assert {parent(pid) for pid in pids} <= {each.pid for each in dask.workers}
    assert len(pids) <= 4


def test_models_of_two_strangers_never_share_a_worker(
    far: Engine, asking: Asking, tumours: Subject, tmp_path: Path
) -> None:
    def ask(folder: str, mark: int) -> int:
        path = tmp_path / folder / "model.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Path(tumours.model().path).read_bytes())
        question = replace(asking(Ones(mark=mark)), model=replace(tumours.model(), path=str(path)))
        return far.ask(question).facts["pid"]

    one, other = {ask("one", mark) for mark in (100, 101, 102)}, {ask("other", mark) for mark in (103, 104, 105)}
    assert one.isdisjoint(other)


def test_two_questions_are_worked_on_side_by_side(far: Engine, asking: Asking) -> None:
    jobs = [far.submit(asking(Sleeping(), lane=lane)) for lane in ("quick",)]
    jobs += [far.submit(asking(Sleeping(), lane="long", seed=seed)) for seed in (1, 2)]
    begun(jobs[0])
    begun(jobs[1])
    assert [far.place(job) for job in jobs] == [0, 0, 1]
    for job in reversed(jobs):
        far.cancel(job)


def test_progress_is_heard(far: Engine, asking: Asking) -> None:
    heard: list[float] = []
    far.ask(asking(Sleeping(seconds=1.5), seed=3), heard.append)
    assert 0.5 in heard


# --- refusals, limits, cancel ----------------------------------------------------------------------------------------


def test_refusals_pass_through(far: Engine, asking: Asking) -> None:
    assert sentence(far.submit(asking(Refusing()))) == "This cannot be done. It was planted. Take it out."


def test_a_crash_and_a_defect_are_told_as_at_home(far: Engine, asking: Asking) -> None:
    assert "While it ran, its process crashed (SIGSEGV)" in sentence(far.submit(asking(Crashing())))
    assert sentence(far.submit(asking(Failing()))).startswith("A double stopped with an internal error. ")


def test_a_time_limit_holds(far: Engine, asking: Asking) -> None:
    assert "was stopped after 1 seconds" in sentence(far.submit(asking(Sleeping(), seed=4), seconds=1.0))


def test_cancelling_ends_the_fenced_worker(far: Engine, dask: Dask, asking: Asking) -> None:
    job = far.submit(asking(Sleeping(), seed=5))
    begun(job)
    before = fenced(dask)
    far.cancel(job)
    with pytest.raises(Cancelled):
        job.result()
    until(lambda: len(before - fenced(dask)) == 1, 20)  # long before its time limit
    assert (far.ask(asking(Ones(mark=50))).values == 1).all()


def test_an_answer_to_another_question_is_refused(far: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a worker of the cluster had mixed two questions up."""
    monkeypatch.setattr(cluster, "verified", lambda body, _key: verified(body, ""))
    assert sentence(far.submit(asking(Ones(mark=51)))).startswith("The worker's answer makes no sense. ")


# --- what gets lost --------------------------------------------------------------------------------------------------

_ASKS = """
from engine.engine import Engine, Question
from engine.questions import attack_query
from engine.subjects import load_subject, read_model
from attacks import attack

engine, subject = Engine.open(), load_subject("tumours")
query = attack_query(subject, subject.model(), range(200))
job = engine.submit(Question(subject.model(), attack("random_search", size=1e-9, queries=1_000_000), query, "long"))
while not job.progress:
    job.wait(0.05)
print("begun", flush=True)
job.wait()
"""


def test_a_question_ends_with_the_process_that_asked(dask: Dask, tmp_path: Path) -> None:
    environment = os.environ | {"ASSAY_HOME": str(tmp_path / "home"), "ASSAY_CLUSTER": dask.address}
    with subprocess.Popen(
        [sys.executable, "-c", _ASKS], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as asker:
        assert asker.stdout.readline() == "begun\n"
        during = fenced(dask)
        asker.kill()
    until(lambda: len(during - fenced(dask)) == 1)


def test_a_lost_worker_costs_a_retry_and_a_lost_scheduler_a_sentence(
    shared: Engine, asking: Asking, tmp_path: Path, encrypted: dict[str, str]
) -> None:
    with running(tmp_path, 2, encrypted) as dask, asking_on(dask, tmp_path) as engine:
        assert dask.address.startswith("tls://")
        _lose_a_worker(engine, shared, dask, asking(Sleeping(seconds=1.5)), signal.SIGTERM)
        dask.add_worker()
        until(lambda: workers_of(engine) == 2)
        _lose_a_worker(engine, shared, dask, asking(Sleeping(seconds=1.5), seed=1), signal.SIGKILL)
        _lose_the_scheduler(engine, dask, asking)


def _lose_a_worker(engine: Engine, shared: Engine, dask: Dask, question: Question, how: signal.Signals) -> None:
    job = engine.submit(question)
    begun(job)
    busy = next(each for each in dask.workers if each.pid == at_it(engine))
    pids = children(busy.pid)
    assert pids
    os.kill(busy.pid, how)
    until(lambda: all(map(gone, pids)))  # fenced workers end with the one that started them
    assert not job.done
    dask.workers.remove(busy)
    assert job.result().digest == shared.ask(question).digest


def at_it(engine: Engine) -> int:
    """The process of the cluster's worker that is at a question."""
    client = engine._answering._client
    address = next(address for address, names in client.processing().items() if names)
    return client.run(os.getpid)[address]


def _lose_the_scheduler(engine: Engine, dask: Dask, asking: Asking) -> None:
    job = engine.submit(asking(Sleeping(), seed=2))
    begun(job)
    dask.scheduler.kill()
    assert sentence(job).startswith("The cluster gave no answer. ")
    assert sentence(engine.submit(asking(Ones()))).startswith("The cluster cannot be reached. ")
    until(lambda: not fenced(dask))
    dask.start(int(dask.address.rpartition(":")[2]))
    for worker in dask.workers:
        worker.wait(60)
    time.sleep(2.1)  # for so long a scheduler that did not answer is not asked again
    assert sentence(engine.submit(asking(Ones()))).startswith("The cluster has no workers. ")
    dask.add_worker()
    until(lambda: workers_of(engine) == 1)
    assert (engine.ask(asking(Ones())).values == 1).all()


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A certificate for the cluster: this process uses it, and others that have these settings."""
    import dask
    import distributed  # noqa: F401 - its defaults must be there before any is set aside

    files = {"ca_file": tmp_path / "cert.pem", "cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    make_certificate(files["cert"], files["key"])
    settings = {"distributed.comm.tls.ca-file": str(files["ca_file"])}
    for role in ("scheduler", "worker", "client"):
        settings |= {f"distributed.comm.tls.{role}.{name}": str(files[name]) for name in ("cert", "key")}
    with dask.config.set(settings):
        yield {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": value for name, value in settings.items()}


def make_certificate(cert: Path, key: Path) -> None:
    """Writes a certificate for 127.0.0.1 that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.BasicConstraints(True, None), True)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    cert.write_bytes(made.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, *form))


def test_an_encrypted_address_without_a_certificate_is_told(asking: Asking, tmp_path: Path) -> None:
    engine = Engine(evidence(tmp_path / "home"), "tls://127.0.0.1:1")
    assert "no certificate is set" in sentence(engine.submit(asking(Ones())))
    engine.close()


def test_a_large_model_travels_once_to_each_machine(
    far: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample's file counts as large here; there are two workers that may want it."""
    sent: list[int] = []
    put = Cluster._put

    def watched(there: Cluster, work: Work, asked: Asked) -> Verdict:
        sent.append(len(asked.file))
        return put(there, work, asked)

    monkeypatch.setattr("engine.cluster._LIGHT", 10)
    monkeypatch.setattr(Cluster, "_put", watched)
    for mark in range(60, 66):
        assert (far.ask(asking(Ones(mark=mark))).values == 1).all()
    assert sent.count(0) == 6 and len(sent) - 6 <= 2


def test_what_was_forgotten_is_sent_again(far: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.cluster._LIGHT", 10)
    far._answering._connected().run(forget)
    assert (far.ask(asking(Ones(mark=70))).values == 1).all()


def forget() -> None:
    """Runs on a worker of the cluster."""
    cluster._FILES._files.clear()


def test_models_are_remembered_up_to_a_limit() -> None:
    files = Files(10)
    for name in ("a", "b", "c"):
        files.put(name, name.encode() * 4)
    assert files.get("a") is None and files.get("b") == b"bbbb"
    files.put("d", b"dddd")
    assert files.get("c") is None and files.get("b") == b"bbbb"
    files.put("e", b"e" * 50)
    assert files.get("e") == b"e" * 50 and files.get("b") is None and files.get("d") is None


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "http://127.0.0.1:8786", "tcp://", "tcp://host", "inproc://a:1"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(UserFacingError, match="ASSAY_CLUSTER cannot be used"):
        Cluster(address, lambda: None)


def test_slots_are_the_clusters_workers() -> None:
    there = Cluster("tcp://127.0.0.1:1", lambda: None)
    found = []
    for there._workers in (1, 2, 3, 4, 9):
        found.append((there.slots("quick"), there.slots("long")))
    assert found == [(1, 1), (1, 1), (2, 1), (2, 2), (5, 4)]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(pid: int) -> set[int]:
    """The processes that a process started and that have not ended."""
    found = [each.read_text().split() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    return {int(child) for each in found for child in each if not gone(int(child))}


def fenced(dask: Dask) -> set[int]:
    """The fenced workers that run below the cluster's workers."""
    return set().union(*(children(worker.pid) for worker in dask.workers))
