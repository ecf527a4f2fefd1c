"""The engine: every question ends in its answer or one sentence, and nobody else notices."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from attacks import attack
from core.errors import UserFacingError
from core.nouns import Subject, Target
from engine import wire
from engine.crew import Asked, Verdict
from engine.engine import WORKERS, Cancelled, Engine, Job, Lane, Question, Work
from engine.predict import Predict
from engine.questions import attack_query, explain_query
from explainers import explainer
from storage.evidence import EvidenceStore
from storage.stores import Stores
from tests.engine.conftest import begun, evidence, gone, until
from tests.engine.doubles import Crashing, Failing, Ones, Refusing, Sleeping

ROOT = Path(__file__).parents[2]
Asking = Callable[..., Question]


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, starting a worker is a failure."""

    def refuse() -> None:
        raise OSError(38, "a worker was started")

    return lambda: monkeypatch.setattr("engine.crew.WorkerProcess", refuse)


@pytest.fixture
def kept(stores: Stores) -> Iterator[Engine]:
    """An engine on the stores of the environment, of both kinds."""
    made = Engine(EvidenceStore(stores.vault))
    yield made
    made.close()


def sentence(job: Job) -> str:
    """What the person reads: one line."""
    with pytest.raises(UserFacingError) as caught:
        job.result()
    text = str(caught.value)
    assert "\n" not in text
    return text


def long_attack(subject: Subject) -> Question:
    """A search that finds nothing and takes minutes."""
    method = attack("random_search", size=1e-9, queries=1_000_000)
    return Question(subject.model(), method, attack_query(subject, subject.model(), range(200)), "long")


# --- answered once ---------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_and_never_computed_again(
    kept: Engine, asking: Asking, no_worker: Callable[[], None]
) -> None:
    assert not kept.known(asking(Ones(), [0, 1]))
    first = kept.ask(asking(Ones(), [0, 1]))
    assert (first.values == 1).all() and first.values.shape == (2, 30)
    no_worker()
    another = Engine.open()
    assert another.known(asking(Ones(), [0, 1]), "somebody")
    again = another.ask(asking(Ones(), [0, 1]))
    assert again.digest == first.digest
    assert another.submit(asking(Ones(), [0, 1])).done


def test_another_row_option_or_seed_is_another_question(asking: Asking) -> None:
    keys = [asking(Ones()), asking(Ones(), [1]), asking(Ones(mark=1)), asking(Ones(), seed=1)]
    assert len({question.key for question in keys}) == len(keys)
    assert asking(Ones()).key == asking(Ones(), lane="long").key


def test_the_same_question_asked_at_once_is_computed_once(shared: Engine, asking: Asking) -> None:
    jobs: list[Job] = []
    asked = [threading.Thread(target=lambda: jobs.append(shared.submit(asking(Sleeping())))) for _ in range(6)]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert len(jobs) == 6
    assert len(set(map(id, jobs))) == 1
    shared.cancel(jobs[0])


def test_two_quick_questions_are_worked_on_side_by_side(engine: Engine, asking: Asking) -> None:
    jobs = [engine.submit(asking(Sleeping(), seed=seed)) for seed in range(3)]
    begun(jobs[0])
    begun(jobs[1])
    assert jobs[0].worker.pid != jobs[1].worker.pid
    assert jobs[2].worker is None


def test_a_worker_serves_one_question_after_another(shared: Engine, asking: Asking) -> None:
    pids = {shared.ask(asking(Ones(mark=mark), lane="long")).facts["pid"] for mark in (11, 12, 13)}
    assert len(pids) == 1


def test_progress_is_heard(shared: Engine, asking: Asking) -> None:
    heard: list[float] = []
    shared.ask(asking(Sleeping(seconds=1.0), seed=3), heard.append)
    assert heard and set(heard) <= {0.0, 0.5}
    assert 0.5 in heard


def test_predictions_are_the_models_own(shared: Engine, tumours: Subject, asking: Asking) -> None:
    import xgboost

    query = asking(Ones(), [0, 5, 9]).query
    found = shared.ask(Question(tumours.model(), Predict(), query))
    booster = xgboost.Booster(model_file=tumours.model().path)
    plain = booster.predict(xgboost.DMatrix(query.rows, feature_names=booster.feature_names), output_margin=True)
    np.testing.assert_allclose(found.outputs[:, 0], plain, rtol=1e-6)


# --- called off, or out of time --------------------------------------------------------------------------------------


def test_cancelling_ends_running_and_waiting_questions(engine: Engine, asking: Asking) -> None:
    running = engine.submit(asking(Sleeping(), lane="long"))
    waiting = engine.submit(asking(Sleeping(), [1], lane="long"))
    begun(running)
    pid = running.worker.pid

    engine.cancel(waiting)
    assert waiting.done
    with pytest.raises(Cancelled):
        waiting.result()
    assert not running.done

    engine.cancel(running)
    with pytest.raises(Cancelled):
        running.result()
    until(lambda: gone(pid))
    assert (engine.ask(asking(Ones(), lane="long")).values == 1).all()
    engine.cancel(running)  # a second press does no harm


def test_a_cancelled_question_can_be_asked_again(engine: Engine, asking: Asking) -> None:
    question = asking(Sleeping(seconds=0.3))
    job = engine.submit(question)
    engine.cancel(job)
    assert isinstance(pytest.raises(UserFacingError, job.result).value, Cancelled)
    assert engine.ask(question).values.shape == (1, 30)


def test_a_time_limit_ends_its_question_only(engine: Engine, asking: Asking) -> None:
    engine.ask(asking(Ones()))  # the model is loaded, so that the limit falls on the method
    job = engine.submit(asking(Sleeping()), seconds=1.0)
    other = engine.submit(asking(Sleeping(seconds=2.0)))
    assert sentence(job) == (
        "A double was stopped after 1 seconds. It reached its time limit. "
        "Ask about fewer rows, or choose smaller options."
    )
    assert other.result().values.shape == (1, 30)
    assert (engine.ask(asking(Ones(mark=2))).values == 1).all()


# --- workers that die ------------------------------------------------------------------------------------------------


def test_a_worker_killed_during_an_attack_ends_that_question_only(
    engine: Engine, tumours: Subject, asking: Asking
) -> None:
    job = engine.submit(long_attack(tumours))
    beside = engine.submit(asking(Sleeping(seconds=1.0)))
    begun(job)
    os.kill(job.worker.pid, signal.SIGKILL)
    assert sentence(job) == (
        "Random search did not finish. While it ran, its process was killed, by hand or for lack of memory. "
        "Ask again; everything else goes on as it was."
    )
    assert beside.result().values.shape == (1, 30)
    assert (engine.ask(asking(Ones(), lane="long")).values == 1).all()


@pytest.mark.parametrize(
    ("way", "why"), [("SIGSEGV", "crashed (SIGSEGV)"), ("SIGKILL", "was killed"), ("exit", "(exit status 3)")]
)
def test_a_crash_is_told_in_one_sentence(shared: Engine, asking: Asking, way: str, why: str) -> None:
    assert why in sentence(shared.submit(asking(Crashing(way=way))))
    assert (shared.ask(asking(Ones(mark=hash(way) % 1000))).values == 1).all()


def test_a_worker_killed_while_idle_is_replaced(engine: Engine, asking: Asking) -> None:
    pid = engine.ask(asking(Ones())).facts["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    assert engine.ask(asking(Ones(mark=1))).facts["pid"] != pid


def test_no_worker_to_be_had_is_a_sentence(engine: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("engine.crew.WorkerProcess", refuse)
        jobs = [engine.submit(asking(Ones(mark=mark))) for mark in range(4)]
        for job in jobs:
            assert "No worker could be started" in sentence(job)
    assert (engine.ask(asking(Ones())).values == 1).all()


def test_no_thread_to_be_had_is_a_sentence(engine: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        jobs = [engine.submit(asking(Ones(mark=mark))) for mark in range(4)]
    assert all("can't start new thread" in sentence(job) for job in jobs)
    assert (engine.ask(asking(Ones())).values == 1).all()


def test_workers_end_with_the_engine(engine: Engine, asking: Asking) -> None:
    idle = engine.ask(asking(Ones())).facts["pid"]
    busy = engine.submit(asking(Sleeping()))
    begun(busy)
    pid, waiting = busy.worker.pid, [engine.submit(asking(Sleeping(), seed=seed)) for seed in (1, 2, 3)]
    engine.close()
    until(lambda: gone(idle) and gone(pid))
    for job in (busy, *waiting):
        with pytest.raises(Cancelled):
            job.result()
    with pytest.raises(Cancelled):
        engine.submit(asking(Sleeping(), seed=4))
    assert (engine.ask(asking(Ones())).values == 1).all()  # what is known is still told


# --- methods that fail -----------------------------------------------------------------------------------------------


def test_a_defect_is_a_sentence_and_goes_to_the_log(
    shared: Engine, asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "assay.engine"):
        text = sentence(shared.submit(asking(Failing())))
    assert text.startswith("A double stopped with an internal error. ")
    assert "planted" not in text and "Traceback" not in text
    assert "a planted defect" in caplog.text and "Traceback" in caplog.text


def test_a_late_refusal_arrives_as_it_was_said(shared: Engine, asking: Asking) -> None:
    assert sentence(shared.submit(asking(Refusing()))) == "This cannot be done. It was planted. Take it out."


def test_failures_are_not_kept(shared: Engine, asking: Asking) -> None:
    for _ in range(2):
        assert "planted" in sentence(shared.submit(asking(Refusing(), [7])))
    assert shared.store.answer(asking(Refusing(), [7]).key) is None


def test_what_libraries_print_goes_to_the_log(
    shared: Engine, asking: Asking, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    assert (shared.ask(asking(Ones(mark=77))).values == 1).all()
    until(lambda: "a library that writes" in caplog.text and "a library that prints" in caplog.text)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_asked_is_refused_without_a_worker(
    engine: Engine, tumours: Subject, asking: Asking, no_worker: Callable[[], None]
) -> None:
    no_worker()
    with pytest.raises(UserFacingError, match="nothing to ask about"):
        engine.submit(Question(tumours.model(), Predict(), attack_query(tumours, tumours.model(), [])))
    with pytest.raises(UserFacingError, match="does not apply"):
        engine.submit(Question(tumours.model(), attack("pgd"), attack_query(tumours, tumours.model(), [0])))


# --- the store -------------------------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_kept_is_a_sentence(
    kept: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **_more: object) -> None:
        raise UserFacingError("Nothing can be kept", "There is no space left", "Make room")

    with monkeypatch.context() as patch:
        patch.setattr("storage.vault.Vault.put_all", refuse)
        assert sentence(kept.submit(asking(Ones()))) == "Nothing can be kept. There is no space left. Make room."
    assert (kept.ask(asking(Ones())).values == 1).all()


def test_a_fresh_answer_is_computed_and_leaves_the_kept_one(kept: Engine, asking: Asking) -> None:
    """The double says in which process it answers, so that two computations have two digests."""
    first = kept.ask(asking(Ones()))
    os.kill(first.facts["pid"], signal.SIGKILL)
    until(lambda: gone(first.facts["pid"]))
    again = kept.submit(asking(Ones()), fresh=True).result()
    assert again.facts["pid"] != first.facts["pid"] and again.digest != first.digest
    assert kept.store.answer(asking(Ones()).key).digest == first.digest
    assert kept.ask(asking(Ones())).digest == first.digest


def test_a_fresh_answer_is_not_kept(engine: Engine, asking: Asking) -> None:
    assert (engine.submit(asking(Ones()), fresh=True).result().values == 1).all()
    assert engine.store.answer(asking(Ones()).key) is None


def test_a_fresh_answer_repeats_a_real_methods_digest(engine: Engine, tumours: Subject) -> None:
    query = explain_query(tumours, tumours.model(), [0], Target(1, "margin"), tumours.reference(3))
    question = Question(tumours.model(), explainer("tree_shap"), query)
    assert engine.submit(question, fresh=True).result().digest == engine.ask(question).digest


# --- several people --------------------------------------------------------------------------------------------------


def test_who_asks_again_has_the_same_job(engine: Engine, asking: Asking) -> None:
    question = asking(Sleeping())
    mine, yours = engine.submit(question, who="me"), engine.submit(question, who="you")
    assert engine.submit(question, who="me") is mine is not yours
    assert engine.known(question, "me") and not engine.known(question, "somebody else")
    again = engine.submit(question, who="me", fresh=True)
    assert again is not mine and engine.submit(question, who="me", fresh=True) is again
    assert engine.submit(question, who="you", fresh=True) is not again


def test_a_shared_question_ends_with_the_last_who_waits(engine: Engine, asking: Asking) -> None:
    question = asking(Sleeping())
    mine, yours = engine.submit(question, who="me"), engine.submit(question, who="you")
    begun(mine)
    pid = mine.worker.pid
    assert yours.worker.pid == pid
    engine.cancel(mine, "me")
    assert mine.done and mine.cancelled and isinstance(pytest.raises(UserFacingError, mine.result).value, Cancelled)
    assert not yours.done and not gone(pid)
    with pytest.raises(ValueError, match="somebody else's"):
        engine.cancel(yours, "me")
    again = engine.submit(question, who="me")
    assert again is not mine and again.worker.pid == pid
    engine.cancel(again, "me")
    engine.cancel(yours, "you")
    assert yours.cancelled
    until(lambda: gone(pid))


def test_everybody_who_waits_gets_the_answer(engine: Engine, asking: Asking) -> None:
    question = asking(Sleeping(seconds=0.3))
    jobs = [engine.submit(question, who=who) for who in ("a", "b", "c")]
    assert len({job.result().digest for job in jobs}) == 1


def test_quick_turns_go_round_the_people(engine: Engine, asking: Asking) -> None:
    many = [engine.submit(asking(Sleeping(), seed=seed), who="many") for seed in range(6)]
    one = engine.submit(asking(Sleeping(), seed=6), who="one")
    assert [engine.place(job) for job in many] == [0, 0, 1, 3, 4, 5]
    assert engine.place(one) == 2
    engine.cancel(many[0], "many")
    until(lambda: engine.place(one) == 1 and many[2].progress > 0)
    engine.cancel(many[1], "many")
    begun(one)
    assert [engine.place(job) for job in many[3:]] == [1, 2, 3]


def test_a_known_answer_never_queues(engine: Engine, asking: Asking, no_worker: Callable[[], None]) -> None:
    engine.ask(asking(Ones()))
    busy = [engine.submit(asking(Sleeping(), seed=seed)) for seed in range(4)]
    no_worker()
    job = engine.submit(asking(Ones()), who="you")
    assert job.done and engine.place(job) == 0
    assert (job.result().values == 1).all()
    assert engine.place(busy[3]) == 2


def test_nobody_has_two_long_ones_at_once(engine: Engine, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._answering, "slots", lambda lane: 3)
    mine = [engine.submit(asking(Sleeping(), lane="long", seed=seed), who="me") for seed in range(2)]
    yours = engine.submit(asking(Sleeping(), lane="long", seed=2), who="you")
    begun(mine[0])
    begun(yours)
    assert [engine.place(job) for job in (mine[0], yours, mine[1])] == [0, 0, 1]
    engine.cancel(mine[0], "me")
    begun(mine[1])


def test_cancelled_work_never_ends_a_worker_that_went_on(engine: Engine, asking: Asking) -> None:
    job = engine.submit(asking(Ones(mark=41)))
    pid = job.result().facts["pid"]
    assert job.worker is None
    job.work.leash.call_off()
    engine.cancel(job)
    assert engine.ask(asking(Ones(mark=42))).facts["pid"] == pid


def test_a_thousand_questions_of_eight_people_all_end(asking: Asking, tmp_path: Path) -> None:
    """Asked and called off at random from eight threads, with workers that are none."""
    engine = Engine(evidence(tmp_path / "home"))
    stub = Stub()
    engine._answering = stub
    questions = [asking(Ones(mark=mark), lane="long" if mark % 3 == 0 else "quick") for mark in range(12)]
    jobs: list[Job] = []
    people = [threading.Thread(target=_play, args=(engine, questions, f"p{who}", jobs)) for who in range(8)]
    for each in people:
        each.start()
    for each in people:
        each.join(60)
    assert not any(each.is_alive() for each in people)
    assert all(job.wait(60) for job in jobs) and len(jobs) == 8 * 125
    assert {type(job._error) for job in jobs} == {Cancelled, UserFacingError}
    until(lambda: not any(queue.running for queue in engine._queues.values()))
    assert not engine._works and not any(queue._lines for queue in engine._queues.values())
    assert stub.most == {"quick": 2, "long": 1}
    engine.close()


class Stub:
    """Computes nothing, and refuses after a moment; remembers how many it was at, at most."""

    def __init__(self) -> None:
        self.now, self.most = Counter(), {"quick": 0, "long": 0}
        self._lock = threading.Lock()

    def slots(self, lane: Lane) -> int:
        return WORKERS[lane]

    def answer(self, work: Work, _asked: Asked) -> Verdict:
        lane = work.question.lane
        with self._lock:
            self.now[lane] += 1
            self.most[lane] = max(self.most[lane], self.now[lane])
        time.sleep(random.random() * 0.01)
        with self._lock:
            self.now[lane] -= 1
        return Verdict(wire.REFUSED, wire.refused(UserFacingError("No", "It was planted", "Go on")))

    def close(self) -> None:
        """Nothing is kept."""


def _play(engine: Engine, questions: list[Question], who: str, jobs: list[Job]) -> None:
    chance = random.Random(who)
    for _ in range(125):
        job = engine.submit(chance.choice(questions), who=who, fresh=chance.random() < 0.2)
        jobs.append(job)
        assert engine.place(job) >= 0
        if chance.random() < 0.5:
            time.sleep(chance.random() * 0.01)
            engine.cancel(job, who)
        elif chance.random() < 0.3:
            assert job.wait(60)


# --- processes -------------------------------------------------------------------------------------------------------

_ANSWER = """
import sys
from core.nouns import Target
from engine.engine import Engine, Question
from engine.questions import attack_query, explain_query
from engine.subjects import load_subject
from explainers import explainer

engine, subject = Engine.open(), load_subject("digits")
model = subject.model()
query = explain_query(subject, model, [0], Target(0, "logit"), subject.reference(2))
found = engine.ask(Question(model, explainer("integrated_gradients"), query))
assert found.complete
engine.close()
heavy = {"torch", "captum", "shap", "xgboost", "lightgbm", "sklearn", "numba", "streamlit", "safetensors", "dask"}
print(sorted(heavy & set(sys.modules)))
"""


def test_the_asking_process_never_loads_a_models_library(tmp_path: Path) -> None:
    environment = os.environ | {"ASSAY_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", _ANSWER]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
