"""Whoever signs: by a certificate, and by two further keys that it endorses.

The certificate is the settings' (a PKCS#12 file, a key in a token) or one of our own, made when it is first needed. The
further keys, one of them to stand when quantum computers break the others, are always of our own. docs/verifying.md
says how a stranger checks what they sign.
"""

import base64
import getpass
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PublicFormat, pkcs12
from cryptography.x509.oid import NameOID

from access.settings import Signing, settings, signing
from core.errors import UserFacingError
from storage.vault import Vault

FORMAT = "assay-signature-1"
"""The form of a signature file."""
EVIDENCE, SIGNATURE = "evidence.assay", "evidence.assay.sig"
"""The names of the files inside a signed PDF."""
_YEARS = 30  # a report has to be checked long after the last day on which its signer could sign
_SEED = 32
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class Signer:
    """Whoever signs: by a certificate (`by`, pyHanko's), and by two keys that it endorses."""

    by: Any
    ed25519: Ed25519PrivateKey
    ml_dsa: MLDSA65PrivateKey
    timestamp: str = ""

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.by.signing_cert.dump())

    def pem(self) -> bytes:
        """What is handed out to those who check: the certificate, then the two public keys."""
        keys = (key.public_key() for key in (self.ed25519, self.ml_dsa))
        written = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys]
        return b"".join([self.certificate.public_bytes(Encoding.PEM), *written])

    def sign(self, pdf: bytes, evidence: bytes, signature: bytes) -> bytes:
        """The PDF with a bundle and its signature file inside, signed.

        Raises UserFacingError where token or time-stamping service fail.
        """
        from reports import pades

        about = "What this report rests on, for python assay.py verify"
        files = [
            pades.Carried(EVIDENCE, evidence, "Data", "application/zip", about),
            pades.Carried(SIGNATURE, signature, "Supplement", "application/json", f"The signatures of {EVIDENCE}"),
        ]
        try:
            return pades.sign(pdf, files, self.by, self.timestamp)
        except pades.FAILURES as error:
            raise _failed(error) from error

    def detached(self, evidence: bytes) -> bytes:
        """The signature file of a bundle: both keys with their signatures of its bytes, and their endorsement."""
        from reports import pades

        keys = {"ed25519": self.ed25519, "ml-dsa-65": self.ml_dsa}
        public = {name: _text(key.public_key().public_bytes_raw()) for name, key in keys.items()}
        chain = sorted(hashlib.sha256(each).hexdigest() for each in pades.chain(self.by))
        try:
            endorsement = pades.endorse(endorsed(public, chain), self.by)
        except pades.FAILURES as error:
            raise _failed(error) from error
        told = {
            "format": FORMAT,
            "keys": public,
            "chain": chain,
            "signatures": {name: _text(key.sign(evidence)) for name, key in keys.items()},
            "endorsement": _text(endorsement),
        }
        return as_json(told)


def endorsed(public: Mapping[str, str], chain: Sequence[str]) -> bytes:
    """What the certificate's key signs, in the one form of `as_json`.

    Both public keys, each raw in base64, and the SHA-256 of every certificate that a signature carries beside it.
    """
    return as_json({"format": FORMAT, "keys": dict(public), "chain": list(chain)})


def as_json(told: Mapping[str, Any]) -> bytes:
    """The one form of a signature file: sorted names, one space of indent, a line end."""
    return json.dumps(told, indent=1, sort_keys=True).encode() + b"\n"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@contextmanager
def signer(vault: Vault) -> Iterator[Signer]:
    """Whoever signs here: by the settings' certificate, else by one of our own, made when it is first asked for.

    Raises UserFacingError where the certificate cannot be used.
    """
    chosen = signing()
    ed25519, ml_dsa = _seeds(vault)
    with _certificate(vault, chosen) as by:
        found = Signer(by, ed25519, ml_dsa, chosen.timestamp)
        _check(found.certificate)
        yield found


def _seeds(vault: Vault) -> tuple[Ed25519PrivateKey, MLDSA65PrivateKey]:
    raw = vault.secret("sign-evidence", lambda: secrets.token_bytes(2 * _SEED))
    return Ed25519PrivateKey.from_private_bytes(raw[:_SEED]), MLDSA65PrivateKey.from_seed_bytes(raw[_SEED:])


@contextmanager
def _certificate(vault: Vault, chosen: Signing) -> Iterator[Any]:
    """pyHanko's signer for the certificate that is chosen."""
    from reports import pades

    with ExitStack() as stack:
        try:
            if chosen.pkcs11:
                token = pades.from_pkcs11(Path(chosen.pkcs11), chosen.token, chosen.key, chosen.pin)
                found = stack.enter_context(token)
            elif chosen.pkcs12:
                found = pades.from_pkcs12(Path(chosen.pkcs12).read_bytes(), chosen.password)
            else:
                found = pades.from_pkcs12(vault.secret("sign-certificate", _own), "")
            if found.signing_cert is None:
                raise ValueError("it is not there")
        except pades.FAILURES as error:
            raise UserFacingError(
                "Nothing can be signed",
                f"The certificate in {chosen.pkcs11 or chosen.pkcs12 or 'the vault'} cannot be used: {_said(error)}",
                "See that the settings for signing name the right file or token, and its password",
            ) from error
        yield found


def _check(certificate: x509.Certificate) -> None:
    """A certificate whose signatures would not verify signs nothing."""
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not since <= datetime.now(UTC) <= until:
        raise _useless(f"valid from {since:%Y-%m-%d} to {until:%Y-%m-%d}")
    if not isinstance(certificate.public_key(), EllipticCurvePublicKey | RSAPublicKey):
        raise _useless("neither of an elliptic curve nor of RSA")
    with suppress(x509.ExtensionNotFound):
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature or usage.content_commitment):
            raise _useless("not one for signatures")


def _useless(why: str) -> UserFacingError:
    return UserFacingError(
        "Nothing can be signed", f"The certificate to sign with is {why}", "Have the settings for signing name another"
    )


def _said(error: Exception) -> str:
    """What a library says; its kind where it says nothing."""
    return str(error) or type(error).__name__


def _failed(error: Exception) -> UserFacingError:
    return UserFacingError(
        "The report was not signed",
        f"The token or the time-stamping service failed: {_said(error)}",
        "See that both can be reached, then sign again",
    )


def _own() -> bytes:
    """A new P-256 key with its certificate, as PKCS#12; the vault is what keeps it secret."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Assay of {_whose()}"[:64])])
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC).replace(microsecond=0)
    usage = dict.fromkeys(_USAGES, False) | {"digital_signature": True, "content_commitment": True}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    return pkcs12.serialize_key_and_certificates(None, key, certificate, None, NoEncryption())


def _whose() -> str:
    """The house's address; at one's own machine who runs it."""
    found = settings()
    if found is not None:
        return urlsplit(found.origin).hostname or found.origin
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return "one person"
