"""What outlives one run of a page: the engine and the subjects, one each a process."""

import functools

from core.errors import UserFacingError
from core.nouns import Subject
from engine.engine import Engine
from engine.subjects import load_subject, subject_names, subject_title, subject_version
from storage.home import home


@functools.cache
def the_engine() -> Engine:
    """The process's engine."""
    return Engine(home())


def the_subject(name: str) -> Subject:
    """The subject called `name`, read once until it is written anew."""
    return _subject(name, subject_version(name))


def the_titles() -> dict[str, str]:
    """The titles of the subjects by name; the name of one that cannot be read, whose page then says why."""
    return {name: _title(name, subject_version(name)) for name in subject_names()}


@functools.lru_cache(maxsize=8)
def _subject(name: str, _version: int) -> Subject:
    return load_subject(name)


@functools.lru_cache(maxsize=1024)
def _title(name: str, _version: int) -> str:
    try:
        return subject_title(name)
    except UserFacingError:
        return name
