"""What an HTTP check sends, and what answers say."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend
from lbtransport._http_check import is_answered, request_of
from lbtransport._upkeep import CheckFailed
from lbtransport.checks import HttpCheck
from tests.config_kit import SECRET

BACKEND = Backend("http://10.0.0.1:8080/v1", headers={"X-Key": SECRET})
OK = b"HTTP/1.1 200 OK\r\n"


def head_of(check: HttpCheck, backend: Backend = BACKEND) -> tuple[str, dict[str, str]]:
    first, *lines = request_of(check, backend, "orders").decode().split("\r\n")
    assert lines[-2:] == ["", ""]
    headers = [line.split(": ", 1) for line in lines[:-2]]
    assert len({name.lower() for name, _ in headers}) == len(headers)
    return first, dict(headers)


def test_request_goes_below_the_prefix_with_the_headers_of_the_backend() -> None:
    first, headers = head_of(HttpCheck("/healthz?deep=1"))

    assert first == "GET /v1/healthz?deep=1 HTTP/1.1"
    assert headers["Host"] == "orders"
    assert headers["X-Key"] == SECRET
    assert headers["Connection"] == "close"
    assert headers["Accept-Encoding"] == "identity"


def test_headers_of_a_check_replace_ours_and_those_of_the_backend_replace_them() -> (
    None
):
    check = HttpCheck(
        headers={"host": "other", "x-key": "mine", "USER-AGENT": "me", "X-Own": "1"}
    )

    _, headers = head_of(check)

    assert headers["host"] == "other"
    assert headers["X-Key"] == SECRET
    assert headers["USER-AGENT"] == "me"
    assert headers["X-Own"] == "1"


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("HEAD", None), ("POST", "0"), ("PUT", "0")]
)
def test_method_that_has_a_body_says_that_it_is_empty(
    method: str, length: str | None
) -> None:
    first, headers = head_of(HttpCheck(method=method))

    assert first == f"{method} /v1/ HTTP/1.1"
    assert headers.get("Content-Length") == length


# Answers

CHECK = HttpCheck(body="o[k]", body_limit=50)
SIZED = OK + b"Content-Length: 8\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

ANSWERS: dict[str, tuple[HttpCheck, bytes, bool | str]] = {
    "status alone": (HttpCheck(), OK + b"\r\n", True),
    "bare line feeds": (HttpCheck(), b"HTTP/1.1 200 OK\n\n", True),
    "HTTP/1.0": (HttpCheck(), b"HTTP/1.0 204 No Content\r\n\r\n", True),
    "body not looked at": (HttpCheck(), SIZED, True),
    "wanted status": (
        HttpCheck(statuses=[404]),
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        True,
    ),
    "other status": (
        HttpCheck(),
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        "status 503",
    ),
    "redirect": (
        HttpCheck(),
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n",
        "status 302",
    ),
    "after hints": (
        HttpCheck(),
        HINTS + OK + b"\r\n",
        True,
    ),
    "hints alone": (HttpCheck(), HINTS, False),
    "nothing": (HttpCheck(), b"", False),
    "half a head": (HttpCheck(), OK + b"Content-Le", False),
    "body that matches": (CHECK, SIZED + b"it is ok", True),
    "begin of a body that matches": (CHECK, SIZED + b"ok", True),
    "body that does not": (CHECK, SIZED + b"not well", "body does not match"),
    "begin of a body that does not": (CHECK, SIZED + b"not", False),
    "body until the end": (CHECK, OK + b"\r\nnot", False),
    "body as long as the limit": (
        CHECK,
        OK + b"\r\n" + b"x" * 50 + b"ok",
        "body does not match",
    ),
    "chunks that match": (CHECK, CHUNKED + b"1\r\no\r\n1\r\nk\r\n", True),
    "chunks that may yet": (CHECK, CHUNKED + b"1\r\no\r\n", False),
    "chunks that do not": (
        CHECK,
        CHUNKED + b"1\r\no\r\n0\r\n\r\n",
        "body does not match",
    ),
    "chunk that is cut": (CHECK, CHUNKED + b"5\r\nno", False),
    "body without one": (CHECK, b"HTTP/1.1 204 No\r\n\r\n", "body does not match"),
    "no UTF-8": (CHECK, SIZED + b"\xff\xfeok\xff", True),
    "endless head": (HttpCheck(), OK + b"X: " + b"x" * 70000, "malformed answer"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_says_whether_a_backend_is_well(name: str) -> None:
    check, received, expected = ANSWERS[name]

    if isinstance(expected, str):
        with pytest.raises(CheckFailed, match=expected):
            is_answered(check, received, is_all=False)
    else:
        assert is_answered(check, received, is_all=False) is bool(expected)


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (b"", "no answer"),
        (OK, "malformed answer"),
        (SIZED + b"cut", "body does not match"),
        (OK + b"\r\nbad", "body does not match"),
        (CHUNKED + b"5\r\nno", "body does not match"),
    ],
)
def test_answer_that_ends_too_soon_is_none(received: bytes, reason: str) -> None:
    with pytest.raises(CheckFailed, match=reason):
        is_answered(CHECK, received, is_all=True)


@pytest.mark.parametrize(
    "received", [b"\x15\x03\x01 no HTTP\r\n\r\n", b"SSH-2.0\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_not_http_is_an_error(received: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        is_answered(CHECK, received, is_all=False)


def test_body_of_an_answer_to_head_is_not_waited_for() -> None:
    assert is_answered(HttpCheck(method="HEAD"), SIZED, is_all=False)


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_no_piece_of_an_answer_says_the_opposite_of_the_whole(
    name: str, data: st.DataObject
) -> None:
    check, whole, _ = ANSWERS[name]
    piece = whole[: data.draw(st.integers(0, len(whole)))]

    def verdict(received: bytes) -> bool | None:
        try:
            return is_answered(check, received, is_all=False) or None
        except CheckFailed:
            return False

    assert verdict(piece) in {None, verdict(whole)}
