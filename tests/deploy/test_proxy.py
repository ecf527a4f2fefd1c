"""What deploy/nginx.conf and deploy/Caddyfile make of requests, before servers that say what reaches them."""

import http.client
import json
import os
import socket
import ssl
import time

import pytest

from tests.deploy.echo import LARGE
from tests.deploy.house import NAME, ORIGIN, proxy, speaks

UPLOAD = "/_stcore/upload_file/session/file"


def reached(front, headers=None) -> dict:
    """What reached one of the servers: its port, and the headers by name."""
    said = json.loads(front.answer("/model?row=7", headers).body)
    return {**said, "headers": dict(said["headers"]), "names": [name for name, _ in said["headers"]]}


def test_a_sign_in_stays_with_one_replica_and_many_use_both(front, echoes):
    homes = [
        {reached(front, {"Cookie": f"a=b; assay_session=person-{number}; c=d"})["port"] for _ in range(2)}
        for number in range(16)
    ]
    assert all(len(home) == 1 for home in homes)
    assert set.union(*homes) == {each.port for each in echoes}


def test_who_has_no_sign_in_yet_stays_with_one_replica(front):
    assert len({reached(front)["port"] for _ in range(8)}) == 1
    assert len({reached(front, {"Cookie": "assay_going=x"})["port"] for _ in range(8)}) == 1
    assert len({reached(front, {"X-Assay-Visitor": f"person-{number}"})["port"] for number in range(8)}) == 1


def test_what_a_request_says_of_where_it_comes_from_is_dropped(front):
    said = {
        "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "10.9.8.7", "Forwarded": "for=10.9.8.7;host=evil.example",
    }  # fmt: skip
    got = reached(front, said)
    assert got["headers"]["host"] == NAME
    assert got["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert got["headers"]["x-forwarded-proto"] == "https"
    assert not any("10.9.8.7" in value or "evil" in value for value in got["headers"].values())
    assert len(got["names"]) == len(set(got["names"]))


def test_the_answers_headers_are_the_apps_own_and_stand_there_once(front):
    got = front.answer("/", {"Accept-Encoding": "gzip"})
    assert got.all("strict-transport-security") == ["max-age=1"]
    assert got.all("content-security-policy") == ["default-src 'none'"]
    assert got.all("content-encoding") == []
    assert got.all("server") in ([], ["nginx"])
    assert not any(name.lower() in ("via", "x-powered-by") for name, _ in got.headers)


def test_plain_http_leads_to_https_under_the_one_name(front):
    connection = http.client.HTTPConnection("127.0.0.1", front.plain, timeout=10)
    connection.request("GET", "/model?row=7", headers={"Host": NAME})
    got = connection.getresponse()
    assert got.status in (301, 308)
    assert got.getheader("Location").replace(f":{front.port}", "") == f"{ORIGIN}/model?row=7"
    connection.close()


def test_another_name_is_not_answered(front):
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", front.port)) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="evil.example")


@pytest.mark.parametrize(("version", "taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_tls_is_1_2_or_1_3(front, version, taken):
    assert speaks(front.port, version) is taken


def test_browsers_are_offered_http_2(front):
    context = ssl.create_default_context(cafile=str(front.certificate.path))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", front.port)) as plain:
        assert context.wrap_socket(plain, server_hostname=NAME).selected_alpn_protocol() == "h2"


def test_only_uploads_may_be_large(front):
    assert front.answer(UPLOAD, body=bytes(3 << 20)).status == 200
    with pytest.raises((AssertionError, ConnectionError, ssl.SSLError)):
        # A proxy may answer, or break off what it does not want.
        assert front.answer("/other", body=bytes(3 << 20)).status == 200


@pytest.mark.parametrize(("size", "taken"), [(1 << 30, True), ((1025 << 20) + 1, False)])
def test_an_upload_may_have_a_gibibyte_and_reaches_the_app_as_it_comes(front, echoes, size, taken):
    for each in echoes:
        each.begun.clear()
    with front.connection() as connection:
        connection.putrequest("POST", UPLOAD, skip_host=True)
        connection.putheader("Host", NAME)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        connection.send(bytes(1 << 20))
        begun = lambda: any(each.begun.is_set() for each in echoes)  # noqa: E731 - asked twice
        waited = time.monotonic() + (10 if taken else 1)
        while taken and not begun() and time.monotonic() < waited:
            time.sleep(0.02)
        if taken:
            assert begun(), "the proxy waits for the whole file"
        elif front.kind == "nginx":
            assert connection.getresponse().status == 413
            assert not begun()
    assert not written(front)


def test_nothing_that_is_sent_or_got_lies_on_the_proxys_disk(front):
    with front.connection() as connection:
        connection.request("GET", "/large", headers={"Host": NAME})
        got = connection.getresponse()
        got.read(1 << 20)
        time.sleep(0.3)  # the server sends as fast as it can meanwhile
        assert not written(front)
        assert len(got.read()) == LARGE - (1 << 20)


def test_what_follows_the_question_mark_is_in_no_log(front, tmp_path):
    asked = ("/oauth2callback?code=very-private&state=x", {"Referer": f"{ORIGIN}/?row=very-private"})
    assert front.answer(*asked).status == 200
    with socket.socket() as gone, socket.socket() as other:
        gone.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        dead = [gone.getsockname()[1], other.getsockname()[1]]
        with proxy(front.kind, tmp_path, dead) as broken:
            assert broken.answer(*asked).status in (502, 503)
    time.sleep(0.2)
    logs = [path for folder in (front.folder, tmp_path) for path in folder.rglob("*.log")]
    assert len(logs) >= 2
    assert not [path.name for path in logs if "very-private" in path.read_text()]


def test_who_loses_their_replica_is_served_by_the_other(front, echoes, tmp_path):
    """A port where nobody listens stands for a replica that is gone."""
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        with proxy(front.kind, tmp_path, [echoes[0].port, gone.getsockname()[1]]) as half:
            for number in range(8):
                assert reached(half, {"Cookie": f"assay_session=person-{number}"})["port"] == echoes[0].port


def written(front) -> list[str]:
    """The files with something in them that the proxy may have put bodies into."""
    folder = front.folder / "temp"
    return [name for path, _, names in os.walk(folder) for name in names if os.path.getsize(os.path.join(path, name))]  # noqa: PTH118, PTH202 - short
