"""Figures and traces for whoever runs Assay, by OpenTelemetry's own library.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set, and then nothing of it is imported. The library's other settings
(OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS, ...) are its own. No figure and no trace names a person, a subject or a
value: they say which method, which action and how it ended.
"""

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Protocol

from access.alerts import kind_of
from access.chain import Entry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
KINDS = ("sign-ins", "refusals", "uploads", "exports")
"""What is counted of the log."""

_SECONDS = 2
"""How long a collector may take to answer; at the end of the process it is waited for once more."""
_ONE_AT_A_TIME = threading.Lock()


class Asked(Protocol):
    """One question on its way."""

    def end(self, outcome: str) -> None:
        """Says how it ended: answered, refused or failed. Only the first time counts."""


class Telemetry(Protocol):
    """What is told."""

    def asked(self, method: str) -> Asked:
        """A question is asked, by a method's name."""

    def saw(self, entry: Entry) -> None:
        """An entry was written into the log."""

    def sessions(self, count: Callable[[], int]) -> None:
        """How to find out, now and then, how many sign-ins are open."""

    def close(self) -> None:
        """Sends what is left, and ends."""


class Off:
    """Tells nobody anything."""

    def asked(self, method: str) -> Asked:
        """Nothing happens."""
        return self

    def end(self, outcome: str) -> None:
        """Nothing happens."""

    def saw(self, entry: Entry) -> None:
        """Nothing happens."""

    def sessions(self, count: Callable[[], int]) -> None:
        """Nothing happens."""

    def close(self) -> None:
        """Nothing happens."""


class On:
    """Tells the two providers of the library."""

    def __init__(self, meters: "MeterProvider", tracers: "TracerProvider") -> None:
        self._providers = (meters, tracers)
        self._tracer = tracers.get_tracer("assay")
        self._meter = meters.get_meter("assay")
        self._asked = self._meter.create_counter("assay.questions.asked", description="Questions asked")
        self._ended = self._meter.create_counter("assay.questions.ended", description="Questions ended, by outcome")
        self._seconds = self._meter.create_histogram("assay.questions.seconds", "s", "From the question to its end")
        self._acts = {
            kind: self._meter.create_counter(f"assay.{kind.replace('-', '_')}", description=f"{kind} in the log")
            for kind in KINDS
        }

    def asked(self, method: str) -> Asked:
        """Counts a question and begins its span."""
        self._asked.add(1, {"method": method})
        return _Question(self, method, self._tracer.start_span("question", attributes={"method": method}))

    def ended(self, method: str, outcome: str, seconds: float) -> None:
        """Counts the end of a question, and how long it took."""
        about = {"method": method, "outcome": outcome}
        self._ended.add(1, about)
        self._seconds.record(seconds, about)

    def saw(self, entry: Entry) -> None:
        """Counts a refusal, a sign-in, an upload or an export."""
        kind = kind_of(entry)
        if kind:
            self._acts[kind].add(1, {"action": entry.action})

    def sessions(self, count: Callable[[], int]) -> None:
        """Asks `count` whenever figures are sent."""
        from opentelemetry.metrics import Observation

        self._meter.create_observable_gauge(
            "assay.sessions.open", [lambda _options: [Observation(count())]], description="Open sign-ins"
        )

    def close(self) -> None:
        """Sends what is left, and ends."""
        for provider in self._providers:
            provider.shutdown()


class _Question:
    """One question and its span."""

    def __init__(self, told: On, method: str, span: "Span") -> None:
        self._told = told
        self._method = method
        self._span = span
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._over = False

    def end(self, outcome: str) -> None:
        """Ends the span; only the first time counts."""
        with self._lock:
            if self._over:
                return
            self._over = True
        self._span.set_attribute("outcome", outcome)
        self._span.end()
        self._told.ended(self._method, outcome, time.monotonic() - self._since)


def telemetry() -> Telemetry:
    """The process's one: on where the environment names where to send to."""
    with _ONE_AT_A_TIME:
        return _telemetry()


@cache
def _telemetry() -> Telemetry:
    return _exporting() if os.environ.get(ENDPOINT, "").strip() else Off()


def _exporting() -> On:
    """Sends by OTLP over HTTP from threads of its own; a collector that does not answer disturbs nobody."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "assay")})
    wait = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else _SECONDS
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=wait)))
    return On(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(timeout=wait))], resource), tracers)
