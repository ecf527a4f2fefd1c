"""Telemetry: nothing of it where it is off; where it is on, figures and spans without a person or a value in them."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from access.chain import GENESIS, Entry
from access.telemetry import ENDPOINT, On

ROOT = Path(__file__).parents[2]


class Kept:
    """Telemetry that ends up here."""

    def __init__(self) -> None:
        self._reader, self._spans = InMemoryMetricReader(), InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.on = On(MeterProvider([self._reader]), tracers)

    def figures(self) -> dict[str, dict[tuple, float]]:
        """What each figure says, by its attributes; of a histogram how many there were."""
        data = json.loads(self._reader.get_metrics_data().to_json())
        metrics = data["resource_metrics"][0]["scope_metrics"][0]["metrics"] if data["resource_metrics"] else []
        return {
            each["name"]: {
                tuple(sorted(point["attributes"].items())): point.get("value", point.get("count"))
                for point in each["data"]["data_points"]
            }
            for each in metrics
        }

    def seconds(self) -> float:
        data = json.loads(self._reader.get_metrics_data().to_json())
        (scope,) = data["resource_metrics"][0]["scope_metrics"]
        (found,) = [each for each in scope["metrics"] if each["name"] == "assay.questions.seconds"]
        return found["data"]["data_points"][0]["sum"]

    def spans(self) -> list[tuple[str, dict]]:
        return [(span.name, dict(span.attributes)) for span in self._spans.get_finished_spans()]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def entry(action: str, outcome: str = "allowed") -> Entry:
    return Entry(1, GENESIS, "2026-11-26T10:00:00.000Z", "secret person", (), "secret", action, outcome, {})


def test_questions_are_counted_and_have_spans(kept):
    for outcome in ("answered", "answered", "refused", "failed"):
        kept.on.asked("tree_shap").end(outcome)
    kept.on.asked("occlusion")
    figures = kept.figures()
    assert figures["assay.questions.asked"] == {(("method", "tree_shap"),): 4, (("method", "occlusion"),): 1}
    ended = {outcome: count for ((_, _), (_, outcome)), count in figures["assay.questions.ended"].items()}
    assert ended == {"answered": 2, "refused": 1, "failed": 1}
    assert sum(figures["assay.questions.seconds"].values()) == 4
    assert kept.spans()[2] == ("question", {"method": "tree_shap", "outcome": "refused"})
    assert len(kept.spans()) == 4


def test_a_question_ends_once(kept):
    asked = kept.on.asked("tree_shap")
    threads = [threading.Thread(target=asked.end, args=(each,)) for each in ("answered", "failed") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(kept.figures()["assay.questions.ended"].values()) == len(kept.spans()) == 1


def test_seconds_are_those_from_the_question_to_its_end(kept):
    asked = kept.on.asked("tree_shap")
    since = time.monotonic()
    time.sleep(0.05)
    asked.end("answered")
    assert 0.05 <= kept.seconds() <= time.monotonic() - since + 0.01


def test_the_log_is_counted(kept):
    for action, outcome in (("sign-in", "allowed"), ("view", "allowed"), ("export", "allowed"), ("export", "failed")):
        kept.on.saw(entry(action, outcome))
    kept.on.saw(entry("upload"))
    kept.on.saw(entry("sign-in", "refused"))
    kept.on.saw(entry("people", "refused"))
    figures = kept.figures()
    assert figures["assay.sign_ins"] == {(("action", "sign-in"),): 1}
    assert figures["assay.refusals"] == {(("action", "sign-in"),): 1, (("action", "people"),): 1}
    assert figures["assay.uploads"] == {(("action", "upload"),): 1}
    assert figures["assay.exports"] == {(("action", "export"),): 1}
    assert "secret" not in str(figures)


def test_open_sessions_are_asked_for(kept):
    counts = iter([3, 5])
    kept.on.sessions(lambda: next(counts))
    assert [kept.figures()["assay.sessions.open"] for _ in range(2)] == [{(): 3}, {(): 5}]


# --- a process of its own --------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from access.log import Log
from access.people import LOCAL
from access.telemetry import telemetry
from storage.stores import stores

log = Log(stores().database, stores().vault)
log.record(LOCAL, "view", "refused")
telemetry().sessions(lambda: 4)
telemetry().asked("tree_shap").end("answered")
telemetry().close()
print(sorted({name.split(".")[0] for name in sys.modules} & {"opentelemetry", "google", "requests"}))
"""


def run(home: Path, **environment: str) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ASSAY_"))}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**kept, "ASSAY_HOME": str(home), "NO_PROXY": "127.0.0.1", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("environment", [{}, {ENDPOINT: " "}, {"OTEL_SERVICE_NAME": "assay"}], ids=str)
def test_nothing_is_loaded_where_it_is_off(tmp_path, environment):
    done = run(tmp_path / "home", **environment)
    assert (done.stdout, done.stderr) == ("[]\n", "")


class Collector(HTTPServer):
    """Keeps what is sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.heard: dict[str, bytes] = {}


class Take(BaseHTTPRequestHandler):
    """One message to it."""

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard[self.path] = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_collector_gets_figures_and_spans(tmp_path, collector):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    done = run(tmp_path / "home", **{ENDPOINT: f"http://127.0.0.1:{collector.server_port}"})
    assert done.returncode == 0, done.stderr
    assert "opentelemetry" in done.stdout
    (metrics,) = ExportMetricsServiceRequest.FromString(collector.heard["/v1/metrics"]).resource_metrics
    (traces,) = ExportTraceServiceRequest.FromString(collector.heard["/v1/traces"]).resource_spans
    names = {each.name for each in metrics.scope_metrics[0].metrics}
    assert names == {
        "assay.questions.asked", "assay.questions.ended", "assay.questions.seconds", "assay.refusals",
        "assay.sessions.open",
    }  # fmt: skip
    (span,) = traces.scope_spans[0].spans
    assert span.name == "question"
    assert {each.key: each.value.string_value for each in metrics.resource.attributes}["service.name"] == "assay"


def test_a_collector_that_is_not_there_disturbs_nobody(tmp_path):
    server = Collector()
    server.server_close()
    done = run(
        tmp_path / "home", **{ENDPOINT: f"http://127.0.0.1:{server.server_port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    )
    assert done.returncode == 0
    assert "opentelemetry" in done.stdout
