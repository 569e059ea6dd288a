"""A backend's name is one of many spellings, and its secrets are its own."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend, ConfigurationError
from lbtransport._types.backend import SecretHeaders

SECRET = "hush-hush"
BASIC = "Basic dXNlcjpodXNoLWh1c2g="


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("http://10.0.0.1", "http://10.0.0.1"),
        ("http://10.0.0.1/", "http://10.0.0.1"),
        ("http://10.0.0.1:80", "http://10.0.0.1"),
        ("http://10.0.0.1:", "http://10.0.0.1"),
        ("https://10.0.0.1:443/", "https://10.0.0.1"),
        ("http://10.0.0.1:443", "http://10.0.0.1:443"),
        ("https://10.0.0.1:80", "https://10.0.0.1:80"),
        ("http://10.0.0.1:08080", "http://10.0.0.1:8080"),
        ("HTTP://EU.Example.COM/V1", "http://eu.example.com/V1"),
        ("https://eu.example.com/v1/", "https://eu.example.com/v1"),
        ("https://eu.example.com/v1//", "https://eu.example.com/v1"),
        ("http://user:pass@host:81/x", "http://host:81/x"),
        ("http://user@host", "http://host"),
        ("http://us%40er:p@ss@host", "http://host"),
        ("http://[::1]", "http://[::1]"),
        ("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]"),
        ("http://[2001:DB8::0:1]:8080/a/", "http://[2001:db8::1]:8080/a"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_spellings_of_one_url_are_one_backend(spelling: str, normal: str) -> None:
    backend = Backend(spelling)

    assert backend.url == str(backend) == normal
    assert backend == Backend(normal)
    assert hash(backend) == hash(Backend(normal))


@given(
    scheme=st.sampled_from(["http", "HTTP", "https"]),
    host=st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,9}[a-zA-Z0-9])?", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]"),
    port=st.none() | st.integers(1, 65535),
    path=st.from_regex(r"(/[a-z.%@:]{0,3}){0,3}", fullmatch=True),
)
def test_normalising_twice_changes_nothing(
    scheme: str, host: str, port: int | None, path: str
) -> None:
    once = Backend(f"{scheme}://{host}{'' if port is None else f':{port}'}{path}")

    twice = Backend(once.url)

    assert twice.url == once.url
    assert (twice.scheme, twice.hostname, twice.port, twice.path) == (
        once.scheme,
        once.hostname,
        once.port,
        once.path,
    )


@pytest.mark.parametrize(
    ("url", "parts", "netloc", "is_address"),
    [
        ("http://h", ("http", "h", 80, ""), "h", False),
        ("https://H:8443/v1/", ("https", "h", 8443, "/v1"), "h:8443", False),
        ("https://[::1]:443", ("https", "::1", 443, ""), "[::1]", True),
        ("http://10.0.0.1:81", ("http", "10.0.0.1", 81, ""), "10.0.0.1:81", True),
    ],
)
def test_parts_of_the_url_can_be_asked_for(
    url: str, parts: tuple[str, str, int, str], netloc: str, is_address: bool
) -> None:
    backend = Backend(url)

    assert (backend.scheme, backend.hostname, backend.port, backend.path) == parts
    assert backend.netloc == netloc
    assert backend.is_address is is_address


def test_attributes_are_no_part_of_the_identity() -> None:
    plain = Backend("http://h")
    other = Backend("http://h", weight=3, zone="b", priority=1, metadata={"a": 1})

    assert plain == other
    assert len({plain, other}) == 1


# Secrets


def test_userinfo_becomes_an_authorization_header() -> None:
    backend = Backend(f"http://user:{SECRET}@h", headers={"X-Tenant": "7"})

    assert dict(backend.headers or {}) == {"X-Tenant": "7", "Authorization": BASIC}


@pytest.mark.parametrize(
    ("userinfo", "header"),
    [
        ("user", "Basic dXNlcjo="),
        ("user:", "Basic dXNlcjo="),
        ("us%40er:p%3Ass", "Basic dXNAZXI6cDpzcw=="),
        ("%C3%BC:%C3%BC", "Basic w7w6w7w="),
    ],
)
def test_userinfo_is_decoded_first(userinfo: str, header: str) -> None:
    backend = Backend(f"http://{userinfo}@h")

    assert backend.headers is not None
    assert backend.headers["Authorization"] == header


def test_backend_without_userinfo_has_no_authorization_header() -> None:
    assert dict(Backend("http://h").headers or {}) == {}


def test_userinfo_leaves_one_authorization_header_whatever_the_spelling() -> None:
    backend = Backend(f"http://user:{SECRET}@h", headers={"authorization": "Bearer x"})

    names = [name.lower() for name in backend.headers or {}]
    assert names == ["authorization"]


def secretive() -> Backend:
    return Backend(f"http://user:{SECRET}@h", headers={"X-Key": SECRET})


SHOWN_BY: dict[str, Callable[[Backend], str | bytes]] = {
    "repr": repr,
    "str": str,
    "pickle": pickle.dumps,
    "oldest pickle": lambda backend: pickle.dumps(backend, protocol=0),
    "asdict": lambda backend: repr(dataclasses.asdict(backend)),
    "astuple": lambda backend: repr(dataclasses.astuple(backend)),
    "deepcopy": lambda backend: repr(copy.deepcopy(backend)),
    "repr of the headers": lambda backend: repr(backend.headers),
    "str of the headers": lambda backend: str(backend.headers),
    "format": lambda backend: f"{backend} {backend.headers}",
    "items": lambda backend: repr((backend.headers or {}).items()),
    "values": lambda backend: repr((backend.headers or {}).values()),
}


@pytest.mark.parametrize("way", SHOWN_BY)
def test_secrets_are_never_shown(way: str) -> None:
    shown = SHOWN_BY[way](secretive())

    text = shown.decode("latin-1") if isinstance(shown, bytes) else shown
    assert SECRET not in text
    assert BASIC.removeprefix("Basic ") not in text


def test_pickle_leaves_the_headers_behind_and_keeps_the_rest() -> None:
    backend = Backend(f"http://user:{SECRET}@h", weight=3, zone="b", metadata={"a": 1})

    copied = pickle.loads(pickle.dumps(backend))

    assert dict(copied.headers) == {}
    assert dataclasses.asdict(copied) == {
        **dataclasses.asdict(backend),
        "headers": copied.headers,
    }


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, dataclasses.replace], ids=lambda f: f.__name__
)
def test_copy_within_the_process_keeps_the_headers(copied: Any) -> None:
    assert dict(copied(secretive()).headers) == {
        "X-Key": SECRET,
        "Authorization": BASIC,
    }


def test_copy_of_the_headers_keeps_them() -> None:
    headers = secretive().headers
    assert isinstance(headers, SecretHeaders)

    assert dict(copy.copy(headers)) == dict(headers)


def test_headers_without_entries_say_so() -> None:
    assert repr(Backend("http://h").headers) == "{}"


def test_headers_are_a_copy_of_what_was_given() -> None:
    given_headers = {"X-Key": "1"}
    backend = Backend("http://h", headers=given_headers)

    given_headers["X-Key"] = "2"

    assert backend.headers is not None
    assert backend.headers["X-Key"] == "1"
    assert len(backend.headers) == 1


# Refusals


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "http://"),
        ("10.0.0.1:8080", "does not begin with http://"),
        ("//host", "does not begin with http://"),
        ("ftp://host", "does not begin with http://"),
        ("http:host", "does not begin with http://"),
        ("http:/host", "does not begin with http://"),
        ("http://", "names no host"),
        ("http://:80", "names no host"),
        ("http:///path", "names no host"),
        ("http://host:0", "port 0"),
        ("http://host:99999", "http://host:99999"),
        ("http://host:port", "http://host:port"),
        ("http://host:-1", "http://host:-1"),
        ("http://[::1", "http://[::1"),
        ("http://[hello]", "http://[hello]"),
        ("http://host?a=b", "query or a fragment"),
        ("http://host#top", "query or a fragment"),
        ("http://ho st", "white space"),
        (" http://host", "white space"),
        ("http://host\n", "white space"),
        ("http://ho\x00st", "white space"),
        ("http://" + "ü" * 80, "http://"),
        ("http://ho*st", "names no possible host"),
        ("http://ho%20st", "names no possible host"),
        ("http://a,b", "names no possible host"),
    ],
)
def test_url_that_names_no_server_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Backend(url)

    assert reason in str(refusal.value)


@pytest.mark.parametrize("value", [None, 80, object()])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no backend; write it as"):
        Backend(value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@host:port",
        f"http://user:{SECRET}@ho st",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}@host:0",
        f"http://user:{SECRET}@host?a=b",
        f"ftp://user:{SECRET}@host",
        f"http://user:p@{SECRET}@host:port",
        f"http://user:{SECRET}/x@host",
        f"http://user:{SECRET}#x@host",
        f"http://user:{SECRET}?x@host",
        f"http://user:{SECRET} x@host",
        f"http://user:{SECRET}\t@host",
        f"user:{SECRET}@host",
        f"http:/user:{SECRET}@host",
        f"http://user:{SECRET}@host".encode(),
    ],
)
def test_refusal_hides_the_credentials(url: Any) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Backend(url)

    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"weight": -1},
        {"weight": 9e-10},
        {"weight": 5e-324},
        {"weight": 1.1e9},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"weight": "3"},
        {"weight": True},
        {"weight": None},
        {"priority": -1},
        {"priority": 1.0},
        {"priority": True},
    ],
)
def test_number_out_of_range_is_refused(attributes: dict[str, Any]) -> None:
    (name,) = attributes

    with pytest.raises(ConfigurationError, match=f"{name} of backend 'http://h'="):
        Backend("http://h", **attributes)


@pytest.mark.parametrize("name", ["host", "tls_name"])
@pytest.mark.parametrize("label", ["", "a b", "a\r\nX-Evil: 1", "bücher", 7])
def test_label_that_could_not_be_sent_is_refused(name: str, label: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} of backend 'http://h'="):
        Backend("http://h", **{name: label})


@pytest.mark.parametrize("label", ["logical", "backend", "eu.example.com", "h:8080"])
def test_label_is_kept(label: str) -> None:
    backend = Backend("http://h", host=label, tls_name=label)

    assert (backend.host, backend.tls_name) == (label, label)


def test_zone_that_is_no_name_is_refused() -> None:
    zone: Any = 7

    with pytest.raises(ConfigurationError, match="zone of backend 'http://h'=7"):
        Backend("http://h", zone=zone)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Key": f"{SECRET}\r\nX-Evil: 1"},
        {"X-Key": f"{SECRET}\n"},
        {"X-Key": SECRET.encode()},
        {"X-Key": None},
        {"X-Key\r\nX-Evil": SECRET},
        {7: SECRET},
    ],
)
def test_header_that_could_not_be_sent_is_refused_unseen(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="headers of backend") as refusal:
        Backend("http://h", headers=headers)

    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Key": "h\u00e4"},
        {"X-Key": " padded"},
        {"X-Key": "a\nb"},
        {"X Key": "a"},
        {7: "a"},
    ],
)
def test_header_that_no_client_could_send_is_refused_unseen(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="headers of backend") as refusal:
        Backend("http://10.0.0.1", headers=headers)

    assert not any(
        value in str(refusal.value) for value in ("h\u00e4", "padded", "a\nb")
    )
