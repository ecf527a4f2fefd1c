"""What a hosted Assay keeps out of its process's log, which lies on a disk in the clear: whatever may hold a value.

What libraries print in a worker is dropped. Of a defect its kind and the places in the code are left, and not the
message, which may quote a row.
"""

import logging
import re

_LOGGERS = ("assay.engine", "assay.intake", "assay.worker", "assay.cluster")
_PLACE = re.compile(r'\s*File ".*", line \d+')


class Discreet(logging.Filter):
    """Takes out of a record what may hold values."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether anything of the record is left to be written."""
        if record.name == "assay.worker":
            return False
        if isinstance(record.args, tuple):
            record.args = tuple(places(each) if isinstance(each, str) else each for each in record.args)
        if record.exc_info and record.exc_info[0] is not None:
            record.msg = f"{record.getMessage()} ({record.exc_info[0].__name__})"
            record.args, record.exc_info = None, None
        return True


def places(text: str) -> str:
    """Of a trace the places and the kind of its last error; any other text of one line as it is."""
    lines = text.splitlines()
    if len(lines) < 2:
        return text
    kinds = [line.partition(":")[0] for line in lines if re.match(r"[\w.]+(Error|Exception|Warning)\b", line)]
    return "\n".join([*filter(_PLACE.match, lines), *kinds[-1:]])


def be_discreet() -> None:
    """Has every logger of the engine take out what may hold values."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(Discreet())
