"""Nobody goes over a limit, however many count at once, and whoever is stopped is told until when."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from access.limits import Exceeded, Limits, check_storage
from access.people import LOCAL, Person
from access.spans import span
from storage.stores import Stores

ROOT = Path(__file__).parents[2]
NOON = 1_700_000_000.0 - 1_700_000_000 % 86400 + 43200
ADA = Person("a" * 32, "Ada", ("analyst",))
SPENDING = """
from access.limits import Exceeded, Limits
from storage.stores import stores
limits, mine = Limits(stores().database), 0
limits.spent("grant/1")
print("ready", flush=True)
input()
for _ in range(60):
    try:
        limits.spend("grant/1", 3, 100)
        mine += 3
    except Exceeded:
        pass
print(mine)
"""


@pytest.fixture
def limits(stores: Stores) -> Limits:
    return Limits(stores.database)


def test_so_much_within_a_time_and_then_again(limits):
    for second in range(5):
        limits.take("export/ada", 1, most=5, per_seconds=3600, now=NOON + second)
    with pytest.raises(Exceeded) as caught:
        limits.take("export/ada", 1, most=5, per_seconds=3600, now=NOON + 600)
    assert caught.value.sentence == (
        "You may not take more away for now. 5 are allowed within 1 hour, and you have used that up. "
        "Try again in 50 minutes, at 13:00 UTC."
    )
    limits.take("export/bob", 5, most=5, per_seconds=3600, now=NOON + 600)
    limits.take("export/ada", 5, most=5, per_seconds=3600, now=NOON + 3600)
    with pytest.raises(Exceeded, match="at 14:00 UTC"):
        limits.take("export/ada", 1, most=5, per_seconds=3600, now=NOON + 7199)


def test_what_was_refused_does_not_count(limits):
    limits.take("upload/ada", 70, most=100, per_seconds=60, now=NOON)
    for _ in range(3):
        with pytest.raises(Exceeded):
            limits.take("upload/ada", 31, most=100, per_seconds=60, now=NOON)
    assert limits.spent("upload/ada") == 70
    limits.take("upload/ada", 30, most=100, per_seconds=60, now=NOON)
    limits.take("upload/ada", 0, most=100, per_seconds=60, now=NOON)


def test_what_is_too_much_at_any_time_is_not_put_off(limits):
    with pytest.raises(Exceeded) as caught:
        limits.take("upload/ada", 3 << 20, most=1 << 20, per_seconds=60, now=NOON)
    assert "3.0 MiB" in caught.value.why and "1.0 MiB" in caught.value.why
    assert "again" not in caught.value.remedy


def test_a_clock_behind_anothers_gives_nobody_more(limits):
    limits.take("export/ada", 5, most=5, per_seconds=3600, now=NOON)
    with pytest.raises(Exceeded):
        limits.take("export/ada", 1, most=5, per_seconds=3600, now=NOON - 5)


def test_a_lower_limit_holds_at_once(limits):
    limits.take("export/ada", 5, most=5, per_seconds=3600, now=NOON)
    with pytest.raises(Exceeded):
        limits.take("export/ada", 1, most=3, per_seconds=3600, now=NOON)


def test_a_budget_is_spent_to_its_end_and_no_further(limits):
    assert limits.spent("grant/1") == 0
    assert limits.spend("grant/1", 60, 100) == 40
    with pytest.raises(Exceeded, match="It takes 41, and 40 of 100 are left"):
        limits.spend("grant/1", 41, 100)
    assert limits.spend("grant/1", 40, 100) == 0
    assert limits.spend("grant/1", 0, 100) == 0
    with pytest.raises(Exceeded):
        limits.spend("grant/1", 1, 100)
    assert (limits.spent("grant/1"), limits.spent("grant/2")) == (100, 0)
    assert limits.spend("grant/1", 10, 200) == 90
    with pytest.raises(Exceeded, match="0 of 50 are left"):
        limits.spend("grant/1", 1, 50)


def test_nothing_is_given_back(limits):
    for act in (lambda: limits.spend("grant/1", -5, 100), lambda: limits.take("export/ada", -5, 100, 60)):
        with pytest.raises(ValueError, match="less than nothing"):
            act()


def test_threads_do_not_overspend(limits):
    def spend(_: int) -> int:
        try:
            limits.spend("grant/1", 7, 100)
        except Exceeded:
            return 0
        return 7

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(40))) == 98 == limits.spent("grant/1")


def test_threads_do_not_take_too_often(limits):
    def take(_: int) -> bool:
        try:
            limits.take("export/ada", 1, most=9, per_seconds=60, now=NOON)
        except Exceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(30))) == 9


def test_processes_do_not_overspend(stores, limits):
    command, piped = [sys.executable, "-c", SPENDING], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = [subprocess.Popen(command, cwd=ROOT, text=True, **piped) for _ in range(3)]
    assert [each.stdout.readline() for each in started] == ["ready\n"] * 3
    for each in started:
        each.stdin.write("\n")
        each.stdin.flush()
    spent = [int(each.communicate(timeout=120)[0]) for each in started]
    assert sum(spent) == 99 == limits.spent("grant/1")


def test_room_is_what_a_person_keeps_and_what_comes(stores):
    stores.vault.put("subject", "loans/model.bin", b"x" * 700, owner=ADA.id)
    stores.vault.put("subject", "bobs/model.bin", b"x" * 9000, owner="b" * 32)
    check_storage(stores.vault, ADA, 300, most=1000)
    with pytest.raises(Exceeded, match="no room"):
        check_storage(stores.vault, ADA, 301, most=1000)
    check_storage(stores.vault, LOCAL, 10**12, most=1000)
    stores.vault.remove("subject", "loans/model.bin")
    check_storage(stores.vault, ADA, 1000, most=1000)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"), (0.2, "1 second"), (0, "1 second"), (59, "59 seconds"), (60, "1 minute"),
        (61, "1 minute 1 second"), (1800, "30 minutes"), (3599.5, "1 hour"), (3601, "1 hour 1 minute"),
        (5400, "1 hour 30 minutes"), (28800, "8 hours"), (86400, "1 day"), (90000, "1 day 1 hour"),
        (86401, "1 day 1 hour"), (172800, "2 days"),
    ],
)  # fmt: skip
def test_lengths_of_time_in_words(seconds, words):
    assert span(seconds) == words
