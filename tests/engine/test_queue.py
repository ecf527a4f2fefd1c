"""Turns: they go round the people, a shared work runs at the first of its turns, and a place is what it says."""

import random
from collections.abc import Callable

import pytest

from engine.queue import LOCAL, Job, Question, Queue, Work
from tests.engine.doubles import Ones


@pytest.fixture
def put(asking: Callable[..., Question]) -> Callable[..., Work]:
    """Puts a work that these people ask for into a queue."""

    def build(queue: Queue, *people: str) -> Work:
        work = Work(asking(Ones()), 1.0)
        for who in people:
            work.jobs[who] = Job(work, who)
            queue.join(work, who)
        return work

    return build


def taken(queue: Queue) -> list[Work]:
    """What runs from now on, in the order of turns."""
    works = []
    while (work := queue.take()) is not None:
        works.append(work)
    return works


def test_turns_go_round_the_people(put: Callable[..., Work]) -> None:
    queue = Queue()
    a1, a2, a3 = (put(queue, "a") for _ in range(3))
    b1, c1, b2 = put(queue, "b"), put(queue, "c"), put(queue, "b")
    assert taken(queue) == [a1, b1, c1, a2, b2, a3]
    assert queue.running == [a1, b1, c1, a2, b2, a3]


def test_who_had_a_turn_goes_to_the_end(put: Callable[..., Work]) -> None:
    queue = Queue()
    a1, a2 = put(queue, "a"), put(queue, "a")
    assert queue.take() is a1
    b1 = put(queue, "b")
    assert queue.take() is a2
    a3 = put(queue, "a")
    assert taken(queue) == [b1, a3]


def test_a_shared_work_runs_once_at_the_first_of_its_turns(put: Callable[..., Work]) -> None:
    queue = Queue()
    a1, a2, shared = put(queue, "a"), put(queue, "a"), put(queue, "a", "b")
    b2 = put(queue, "b")
    assert [queue.place(each) for each in (a1, shared, a2, b2)] == [1, 2, 3, 4]
    assert taken(queue) == [a1, shared, a2, b2]
    assert not queue.waits(shared) and queue.place(shared) == 0


def test_who_leaves_takes_nothing_from_the_others(put: Callable[..., Work]) -> None:
    queue = Queue()
    shared, a1 = put(queue, "a", "b"), put(queue, "a")
    queue.leave(shared, "a")
    queue.leave(shared, "nobody")
    assert queue.waits(shared)
    assert taken(queue) == [a1, shared]


@pytest.mark.parametrize("seed", range(20))
def test_a_place_is_the_turn_at_which_it_runs(put: Callable[..., Work], seed: int) -> None:
    chance, queue = random.Random(seed), Queue()
    works = [put(queue, *chance.sample("abcde", chance.randint(1, 3))) for _ in range(20)]
    for _ in range(5):
        queue.take()
    for work in chance.sample(works, 5):
        for who in list(work.jobs)[:1]:
            queue.leave(work, who)
    waiting = [work for work in works if queue.waits(work)]
    places = {queue.place(work): work for work in waiting}
    assert sorted(places) == list(range(1, len(waiting) + 1))
    assert taken(queue) == [places[turn] for turn in sorted(places)]


def test_one_each_passes_over_who_has_one(put: Callable[..., Work]) -> None:
    queue = Queue(one_each=True)
    a1, a2, b1 = put(queue, "a"), put(queue, "a"), put(queue, "b")
    assert taken(queue) == [a1, b1]
    assert queue.place(a2) == 1
    queue.running.remove(b1)
    assert queue.take() is None
    queue.running.remove(a1)
    assert queue.take() is a2


def test_one_each_does_not_bind_the_local_person(put: Callable[..., Work]) -> None:
    queue = Queue(one_each=True)
    works = [put(queue, LOCAL) for _ in range(3)]
    assert taken(queue) == works


def test_who_joins_a_running_one_has_one(put: Callable[..., Work]) -> None:
    queue = Queue(one_each=True)
    shared, b1 = put(queue, "a"), put(queue, "b")
    assert queue.take() is shared
    shared.jobs["b"] = Job(shared, "b")
    assert queue.take() is None
    del shared.jobs["b"]
    assert queue.take() is b1
