"""`assay.py check`: takes in a model and data that a person brings, and says what they are."""

import argparse
import io
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from command.contract import Contract, checked
from core.errors import UserFacingError
from engine.intake import Brought, agree, draft, look_at_data, look_at_model, save, suggested_name
from engine.limits import check_size
from engine.preflight import examine
from engine.proposal import propose
from engine.subject_files import About, check_name
from engine.subjects import corrections, load_subject

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SAID = {each.name for each in fields(About)} - {"card"}


def check(args: argparse.Namespace) -> Contract:
    """What model and data are, tried together. With `args.save` the subject's folder is written as well."""
    said = _corrections(args.subject)
    model_file = _read(args.model, "model")
    data_file = _read(args.data, "data")
    brought = Brought(look_at_model(model_file), model_file, look_at_data(data_file), data_file)
    agreed, tried = agree(brought, propose(brought.model, brought.data, args.target, said))
    found = examine(brought, agreed, tried, said.get("subject", {}).get("cutoff"))
    about = _about(args, said, {"summary": found.summary, "limits": found.limits, "outcome": agreed.proposal.outcome})
    if args.save is not None:
        subject = load_subject(save(brought, agreed, about, args.save))
    else:
        subject = draft(brought, agreed, about)
    return checked(subject, brought, found)


def _about(args: argparse.Namespace, said: Mapping[str, Any], found: Mapping[str, str]) -> About:
    """What the corrections say of the subject; its name from the folder or the data otherwise."""
    told = {name: value for name, value in said.get("subject", {}).items() if name in _SAID}
    name = told.pop("name", suggested_name((args.save or args.data).name))
    check_name(name)
    title = told.pop("title", name.replace("-", " ").capitalize())
    told |= {f"reference_{key}": value for key, value in said.get("reference", {}).items()}
    told = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    return About(name, title, **found | told)


def _corrections(path: Path | None) -> dict[str, Any]:
    """A subject.toml in which everything may be left out."""
    if path is None:
        return {}
    try:
        return corrections(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise _unread(path, error) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserFacingError(
            f"{path.name} cannot be read", f"It is not valid TOML: {error}", "Correct that line"
        ) from error


def _read(path: Path, what: str) -> bytes:
    """A file's bytes, or a folder's files as one zip; never more than the limit."""
    try:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        check_size(what, sum(each.stat().st_size for each in files))
        return _zipped(path, files) if path.is_dir() else path.read_bytes()
    except OSError as error:
        raise _unread(path, error) from error
    except UnicodeError as error:
        raise UserFacingError(
            f"{path.name} cannot be read", "One of its files has a name that is not UTF-8", "Rename that file"
        ) from error


def _zipped(folder: Path, files: list[Path]) -> bytes:
    """A folder as a zip: the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for each in files:
            archive.writestr(zipfile.ZipInfo(each.relative_to(folder).as_posix(), _EPOCH), each.read_bytes())
    return buffer.getvalue()


def _unread(path: Path, error: OSError) -> UserFacingError:
    return UserFacingError(
        f"{path} cannot be read", f"The system says: {error.strerror or error}", "Name a file that is there"
    )
