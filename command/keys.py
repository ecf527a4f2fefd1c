"""The commands on keys: rotate the vault's, check what they open, sweep what has expired, hand out the certificate."""

import argparse
from pathlib import Path

from access.log import Log
from access.people import LOCAL
from access.retention import sweep as sweep_house
from access.settings import settings
from command import files
from command.bar import bar
from core.errors import UserFacingError
from storage.stores import stores


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds `keys` with its four commands to the command line."""
    about = "Rotates and checks the keys that everything is encrypted with, and removes what has expired."
    keys = commands.add_parser("keys", help=about, description=about, allow_abbrev=False)
    actions = keys.add_subparsers(title="commands", dest="action", metavar="COMMAND", required=True)
    _action(actions, "rotate", "Puts a new key in the old one's place, while Assay runs.")
    check = _action(actions, "check", "Reads every object and says which ones are damaged.")
    check.add_argument("--remove", action="store_true", help="also removes the damaged ones")
    _action(actions, "sweep", "Removes what has expired and is not under legal hold.")
    certificate = _action(actions, "certificate", "Writes the certificate that reports are signed with, to hand out.")
    certificate.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file, in the form called PEM")


def run(args: argparse.Namespace) -> None:
    """Runs the one that was asked for."""
    {"rotate": rotate, "check": check, "sweep": sweep, "certificate": certificate}[args.action](args)


def rotate(_args: argparse.Namespace) -> None:
    """Rotates the keys; a rotation that was stopped is finished. Raises UserFacingError."""
    _log().record(LOCAL, "keys")
    with bar("Rotation") as progress:
        done = stores().vault.rotate(progress)
    print(f"There is a new key. It took the old one's place over {done:,} keys of the store.")


def check(args: argparse.Namespace) -> None:
    """Names every damaged object. Raises UserFacingError where there is one, unless it was to be removed."""
    with bar("Check") as progress:
        found = stores().vault.check(args.remove, progress)
    for _, _, error in found:
        print(f"{error.what}. {error.why}.")
    if not found:
        print("The key file is the right one, and every object can be read.")
    elif args.remove:
        print(f"Damaged objects removed: {len(found):,}. Those under legal hold stay.")
    else:
        raise UserFacingError(
            f"Objects are damaged: {len(found):,}",
            "They are named above",
            "Put back the store's last copy, or remove them by python assay.py keys check --remove",
        )


def sweep(_args: argparse.Namespace) -> None:
    """Removes what has expired, and blobs that a crash left behind. Raises UserFacingError."""
    print(f"Objects that had expired and were removed: {sweep_house(stores(), _log(), settings()):,}.")


def certificate(args: argparse.Namespace) -> None:
    """Writes the certificate and the two public keys that it endorses, and says its fingerprint.

    The certificate is made where there is none yet. Raises UserFacingError.
    """
    from reports.signer import signer
    from reports.verifying import fingerprint

    _log().record(LOCAL, "export", kind="certificate")
    with signer(stores().vault) as found:
        files.write(args.out, found.pem())
        print(f"SHA-256 fingerprint: {fingerprint(found.by.signing_cert.dump())}")


def _log() -> Log:
    opened = stores()
    return Log(opened.database, opened.vault)


def _action(actions: argparse._SubParsersAction, name: str, about: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=about, description=about, allow_abbrev=False)
