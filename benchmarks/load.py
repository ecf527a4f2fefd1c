"""Many people at once: `python -m benchmarks.load [--people 25] [--seconds 120] [--minutes 10] [--local]`.

The app runs as on a server, with a provider of identities beside it: everybody signs in and has a session of their
own. Every view is drawn once; then the people click through these views, with a pause after each, and now and then ask
about a row that nobody has looked at. One of them starts work that takes a minute or more; half a minute later its
worker is killed, which that person is told, and they start it again. Then people come and go, and the memory of the
web process is watched.

Targets: nobody but that one person sees an error; 95% of the views that are known already are drawn within two
seconds; memory is flat. `--local` leaves the signing in out.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.hosted import App, running
from benchmarks.visitor import Seen, Visitor

P95, GROWTH = 2.0, 1.0  # seconds; MiB per 100 connects
PAUSE = (4.0, 12.0)  # seconds between a person's clicks
NEW = 0.05  # share of clicks on rows that nobody has looked at
KILLED_AFTER = 30.0  # seconds that the long work is left alone
SETTLED = 150  # connects; Streamlit keeps the last 128 closed pages for two minutes
_ROWS = {"tumours": ("275", "12", "40"), "loans": ("1096", "1500", "2500"), "digits": ("923", "5", "100")}
_LONG = "subject=loans&row=1096&attack-rows=2000&random_search.queries=2500"


@dataclass(frozen=True)
class View:
    """A page with the choices of its address."""

    page: str
    choices: str


@dataclass
class Told:
    """What everybody has seen: seconds of the known and of the new views, and what went wrong."""

    known: dict[str, list[float]] = field(default_factory=dict)
    new: list[float] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    long: list[str] = field(default_factory=list)

    def hear(self, view: View, seen: Seen, new: bool) -> None:
        """Notes one view."""
        if new:
            self.new.append(seen.seconds)
        else:
            self.known.setdefault(view.page or "decision", []).append(seen.seconds)
        self.problems.update(seen.problems)
        if not seen.problems and not seen.charts:
            self.problems[f"{view.page or 'decision'}: nothing was drawn under {seen.heading!r}"] += 1


def main(arguments: Sequence[str] = ()) -> int:
    """Prints the figures; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--people", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--local", action="store_true", help="without signing in")
    chosen = parser.parse_args(arguments)
    people = [f"person-{number}@example.org" for number in range(chosen.people)]
    with running([] if chosen.local else people) as app:
        return asyncio.run(_measure(app, people, chosen.seconds, chosen.minutes))


async def _measure(app: App, people: Sequence[str], seconds: float, minutes: float) -> int:
    everybody = [app.cookies(name) for name in people]
    views = known_views()
    print(f"{len(people)} people, load average {os.getloadavg()[0]:.1f} before, {os.cpu_count()} processors")
    await _draw_all(app, everybody[0], views)
    told = Told()
    memory, used = [app.memory()], app.processor()
    others, begun = app.others(), time.monotonic()
    await _click(app, everybody, views, seconds, told, memory)
    share = (app.others() - others) / (time.monotonic() - begun) / os.cpu_count()
    good = _clicks_told(told, seconds, memory)
    clicks = len(told.new) + sum(map(len, told.known.values()))
    print(f"a click takes {(app.processor() - used) / clicks:.2f} s of the web process's processor time")
    print(f"{share:.0%} of the machine's processor time meanwhile went to what is not this measurement")
    memory = await _come_and_go(app, everybody, views, 60 * minutes)
    good &= _memory_told(memory)
    print(f"{'PASS' if good else 'FAIL'}: no error, p95 under {P95:g} s, under {GROWTH:g} MiB per 100 connects\n")
    return 0 if good else 1


def known_views() -> list[View]:
    """Every page of every sample, the landing page for several rows."""
    views = []
    for name, rows in _ROWS.items():
        views += [View("", f"subject={name}&row={row}") for row in rows]
        here = f"subject={name}&row={rows[0]}"
        views += [View("model", here), View("model", f"{here}&view=decides")]
        views += [View("attack", f"{here}&attack-rows=6"), View("report", here)]
    return views


async def _draw_all(app: App, cookies: dict[str, str], views: Sequence[View]) -> None:
    """Everything once, so that it is known from then on."""
    begun = time.perf_counter()
    async with Visitor(app.address, cookies) as page:
        for view in views:
            seen = await page.view(view.page, view.choices)
            if seen.problems or not seen.charts:
                raise RuntimeError(f"{view} cannot be drawn: {seen}")
    print(f"{len(views)} views drawn for the first time in {time.perf_counter() - begun:.0f} s")


# --- clicking --------------------------------------------------------------------------------------------------------


async def _click(
    app: App,
    everybody: Sequence[dict[str, str]],
    views: Sequence[View],
    seconds: float,
    told: Told,
    memory: list[float],
) -> None:
    """All click for so long; the first has long work done meanwhile."""
    end = time.monotonic() + seconds
    clicking = [_clicks(app, cookies, views, end, told, seed) for seed, cookies in enumerate(everybody[1:])]
    watching = asyncio.create_task(_watch(app, memory))
    await asyncio.gather(_long_work(app, everybody[0], told), _kill(app), *clicking)
    watching.cancel()


async def _clicks(app: App, cookies: dict[str, str], views: Sequence[View], end: float, told: Told, seed: int) -> None:
    """One person: a view, a pause, another view."""
    chance = random.Random(seed)
    await asyncio.sleep(chance.uniform(0, PAUSE[1]))
    async with Visitor(app.address, cookies) as page:
        while time.monotonic() < end:
            new = chance.random() < NEW
            view = View("", f"subject=tumours&row={chance.randint(41, 274)}") if new else chance.choice(views)
            told.hear(view, await page.view(view.page, view.choices), new)
            await asyncio.sleep(chance.uniform(*PAUSE))


async def _long_work(app: App, cookies: dict[str, str], told: Told) -> None:
    """An attack on two thousand rows. Its worker is killed once; then it is asked for again."""
    async with Visitor(app.address, cookies) as page:
        for _ in range(2):
            seen = await page.view("attack", _LONG)
            told.long.append(f"{seen.seconds:.0f} s: {'; '.join(seen.problems) or 'done'}")


async def _kill(app: App) -> None:
    """Kills the worker that computes longest: the one with the long work."""
    await asyncio.sleep(KILLED_AFTER)
    before = app.workers()
    await asyncio.sleep(1)
    used = {pid: spent - before.get(pid, 0) for pid, spent in app.workers().items()}
    os.kill(max(used, key=used.__getitem__), signal.SIGKILL)


async def _watch(app: App, memory: list[float]) -> None:
    while True:
        await asyncio.sleep(5)
        memory.append(app.memory())


def _clicks_told(told: Told, seconds: float, memory: Sequence[float]) -> bool:
    """Prints what the people saw; whether that is as it should be."""
    every = [each for found in told.known.values() for each in found]
    print(f"\n{len(every)} clicks on known views in {seconds:.0f} s\n{'':12}{'clicks':>8}{'p50 s':>8}{'p95 s':>8}")
    for name, found in [*sorted(told.known.items()), ("all", every)]:
        print(f"{name:12}{len(found):8}{statistics.median(found):8.2f}{percentile(found, 95):8.2f}")
    if told.new:
        print(f"{'new rows':12}{len(told.new):8}{statistics.median(told.new):8.2f}{percentile(told.new, 95):8.2f}")
    print(f"load average {os.getloadavg()[0]:.1f} at the end")
    print(f"web process: {memory[0]:.0f} MiB before, {max(memory):.0f} MiB at most")
    print(f"long work: {' | '.join(told.long)}")
    for problem, times in told.problems.most_common():
        print(f"{times} times: {problem}")
    as_told = len(told.long) == 2 and "its process was killed" in told.long[0] and told.long[1].endswith("done")
    return not told.problems and as_told and percentile(every, 95) < P95


def percentile(values: Sequence[float], share: int) -> float:
    """The value that `share` percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


# --- coming and going ------------------------------------------------------------------------------------------------


async def _come_and_go(
    app: App, everybody: Sequence[dict[str, str]], views: Sequence[View], seconds: float
) -> list[tuple[int, float]]:
    """People open a page, look and leave; how many had come, and the web process's MiB then."""
    end = time.monotonic() + seconds
    memory, come = [(0, app.memory())], 0
    while time.monotonic() < end:
        async with Visitor(app.address, everybody[come % len(everybody)]) as page:
            view = views[come % len(views)]
            seen = await page.view(view.page, view.choices)
        if seen.problems:
            raise RuntimeError(f"{view}: {seen.problems}")
        come += 1
        memory.append((come, app.memory()))
        await asyncio.sleep(0.2)
    return memory


def _memory_told(memory: Sequence[tuple[int, float]]) -> bool:
    """Prints how memory went; whether it stays where it is once Streamlit holds as many closed pages as it will."""
    come = [each for each, _ in memory]
    settled = [each for each in memory if each[0] >= min(SETTLED, come[-1] / 2)]
    print(f"\n{come[-1]} connects and disconnects\n{'connects':>10}{'MiB':>8}")
    for number, amount in memory[:: max(1, len(memory) // 12)]:
        print(f"{number:10}{amount:8.0f}")
    growth = 100 * statistics.linear_regression(*zip(*settled, strict=True)).slope
    print(f"{memory[0][1]:.0f} MiB before, {memory[-1][1]:.0f} MiB after; {growth:+.2f} MiB per 100 connects ", end="")
    print(f"from number {settled[0][0]} on")
    return growth < GROWTH


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
