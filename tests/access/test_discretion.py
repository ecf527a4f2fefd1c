"""The process's log of a hosted house holds no value of anybody's."""

import logging

import pytest

from access.discretion import Discreet, places

TRACE = """Traceback (most recent call last):
  File "explainers/base.py", line 80, in explain
    self._check(found)
  File "explainers/base.py", line 99, in _check
    raise ValueError(f"{row}")
ValueError: [31000.0, 4.5]
income of Jane Doe
"""


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("assay.test")
    logger.addFilter(Discreet())
    yield logger
    logger.filters.clear()


def test_a_trace_keeps_its_places_and_its_kind() -> None:
    said = places(TRACE)
    assert 'File "explainers/base.py", line 99' in said and said.endswith("ValueError")
    assert "31000" not in said and "Jane" not in said and "raise" not in said


def test_what_is_written_has_no_message(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log.error("%s failed:\n%s", "tree_shap", TRACE)
    try:
        raise KeyError("Jane Doe")
    except KeyError:
        log.exception("%s could not be answered", "tree_shap")
    assert "tree_shap failed" in caplog.text and "tree_shap could not be answered (KeyError)" in caplog.text
    assert "Jane" not in caplog.text and "31000" not in caplog.text


def test_what_libraries_print_is_dropped() -> None:
    record = logging.LogRecord("assay.worker", logging.WARNING, "", 0, "worker %d: %s", (1, "Jane Doe"), None)
    assert not Discreet().filter(record)
