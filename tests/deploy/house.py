"""A hosted Assay on one machine, for tests: a provider of identities, replicas, and a proxy before them.

The proxies run on the files in deploy/ as they are. Only the ports, the paths of the certificate and of the logs are
put in; the name stays assay.example.org, which the tests' browser and their own requests take to the test's port.
"""

import contextlib
import datetime
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAME = "assay.example.org"
ORIGIN = f"https://{NAME}"


@dataclass(frozen=True)
class Certificate:
    """A certificate for NAME that signs itself, its key, and how browsers name that key."""

    path: Path
    key: Path
    spki: str


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its two ports, where it may write, and the certificate that it shows."""

    kind: str
    port: int
    plain: int
    folder: Path
    certificate: Certificate

    def answer(self, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> "Answer":
        """What NAME answers over TLS to one request, a POST where there is a body."""
        with self.connection() as connection:
            connection.request("GET" if body is None else "POST", path, body, {"Host": NAME, **(headers or {})})
            got = connection.getresponse()
            return Answer(got.status, got.getheaders(), got.read())

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPSConnection]:
        """A connection that trusts this certificate alone."""
        context = ssl.create_default_context(cafile=str(self.certificate.path))
        connection = _Connection(NAME, self.port, timeout=30, context=context)
        try:
            yield connection
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    """One answer, with its headers as they came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for each, value in self.headers if each.lower() == name]


@dataclass(frozen=True)
class Replica:
    """A running app on its port."""

    port: int
    process: subprocess.Popen[bytes]


class _Connection(http.client.HTTPSConnection):
    """Takes NAME to this machine, and checks the certificate against NAME all the same."""

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder: Path) -> Certificate:
    """A new one, good for a day."""
    import base64
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    spki = base64.b64encode(hashlib.sha256(public).digest()).decode()
    made = Certificate(folder / "assay.crt", folder / "assay.key", spki)
    made.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    return made


def speaks(port: int, version: str) -> bool:
    """Whether the server on that port takes this version of TLS, such as TLSv1_1, and no other."""
    context = ssl._create_unverified_context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # else this side would refuse the old ones
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", port)) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=NAME) as safe:
                return safe.version() == version.replace("_", ".")
        except (ssl.SSLError, ConnectionError):
            return False


# --- proxies ---------------------------------------------------------------------------------------------------------


def nginx_text(folder: Path, certificate: Certificate, plain: int, port: int, replicas: Sequence[int]) -> str:
    """deploy/nginx.conf with the test's ports and paths."""
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)  # a machine may have no IPv6
    for old, new in (
        ("listen 80 ", f"listen 127.0.0.1:{plain} "),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("127.0.0.1:8501", f"127.0.0.1:{replicas[0]}"),
        ("127.0.0.1:8502", f"127.0.0.1:{replicas[1]}"),
        (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(certificate.path)),
        (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(certificate.key)),
        ("/var/log/nginx/", f"{folder}/"),
        ("/var/www/html", f"{folder}/html"),
    ):
        assert old in text, f"deploy/nginx.conf no longer says {old!r}"
        text = text.replace(old, new)
    # Around it stands what Debian's own nginx.conf says where that may get into its way.
    temporary = "".join(f"{kind}_temp_path {folder}/temp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi"))
    return f"""
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
sendfile on;
tcp_nopush on;
include /etc/nginx/mime.types;
default_type application/octet-stream;
ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
ssl_prefer_server_ciphers on;
access_log {folder}/access.log;
gzip on;
{temporary}uwsgi_temp_path {folder}/temp/uwsgi;
scgi_temp_path {folder}/temp/scgi;
{text}
}}
"""


def caddy_text(certificate: Certificate, plain: int, port: int, replicas: Sequence[int]) -> str:
    """deploy/Caddyfile with the test's ports and certificate."""
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    for old, new in (
        ("127.0.0.1:8501", f"127.0.0.1:{replicas[0]}"),
        ("127.0.0.1:8502", f"127.0.0.1:{replicas[1]}"),
        ("\n{\n", f"\n{{\n\tadmin off\n\thttp_port {plain}\n\thttps_port {port}\n"),
        ("# tls /etc/caddy/assay.crt /etc/caddy/assay.key", f"tls {certificate.path} {certificate.key}"),
    ):
        assert old in text, f"deploy/Caddyfile no longer says {old!r}"
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def proxy(kind: str, folder: Path, replicas: Sequence[int]) -> Iterator[Proxy]:
    """nginx or caddy before two replicas' ports."""
    certificate = make_certificate(folder)
    port, plain = free_port(), free_port()
    (folder / "temp").mkdir()
    if kind == "nginx":
        config = folder / "nginx.conf"
        config.write_text(nginx_text(folder, certificate, plain, port, replicas), encoding="utf-8")
        command = [needed("nginx"), "-p", str(folder), "-c", str(config)]
    else:
        config = folder / "Caddyfile"
        config.write_text(caddy_text(certificate, plain, port, replicas), encoding="utf-8")
        command = [needed("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    settings = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with started(command, settings, folder / f"{kind}.log") as process:
        _until(lambda: _listens(port), process, folder / f"{kind}.log")
        yield Proxy(kind, port, plain, folder, certificate)


def needed(program: str) -> str:
    """The path of a program that these tests cannot do without."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    assert found, f"{program} is missing: `make dev` installs it"
    return found


# --- replicas --------------------------------------------------------------------------------------------------------


def write_config(path: Path, provider: int) -> None:
    """A file for ASSAY_CONFIG with the provider that listens on that port of localhost."""
    path.touch(mode=0o600)
    path.write_text(
        f"""
[auth]
redirect_uri = "{ORIGIN}/oauth2callback"
cookie_secret = {json.dumps(secrets.token_urlsafe(48))}

[auth.company]
title = "Company account"
client_id = "assay"
client_secret = "unused"
server_metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"

[roles]
claim = "roles"
analyst = ["analyst"]
""",
        encoding="utf-8",
    )


@contextlib.contextmanager
def replica(folder: Path, settings: Mapping[str, str], scheme: str = "http") -> Iterator[Replica]:
    """The app with these settings."""
    port = free_port()
    log = folder / f"replica-{port}.log"
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    ports = {"STREAMLIT_SERVER_HEADLESS": "true", "STREAMLIT_SERVER_PORT": str(port)}
    with started(command, {**settings, **ports}, log) as process:
        _until(lambda: _healthy(f"{scheme}://127.0.0.1:{port}/_stcore/health"), process, log)
        yield Replica(port, process)


@contextlib.contextmanager
def started(command: Sequence[str], settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process and all that it starts; ended politely, then for good."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "STREAMLIT_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=kept | settings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, sign)
                    process.wait(timeout=10)


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.1)
    raise AssertionError(f"it did not start:\n{log.read_text()[-4000:]}")


def _listens(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def _healthy(address: str) -> bool:
    context = ssl._create_unverified_context() if address.startswith("https") else None  # only whether it is there
    try:
        with urllib.request.urlopen(address, timeout=5, context=context):
            return True
    except (urllib.error.URLError, OSError):
        return False
