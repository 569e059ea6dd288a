"""What rules for keys find in a request."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError
from lbtransport._key_rules import make_key_rule
from lbtransport._key_search import LARGEST_BODY, RequestView, find_key


class Plain(RequestView):
    """A request without a client."""

    url = ""

    def __init__(
        self,
        url: str = "http://orders/",
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
    ) -> None:
        super().__init__(self)
        self.url = url
        self.headers = headers or {}
        self.content = body

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def body(self) -> bytes | str | None:
        return self.content


def key_of(rule: Any, request: RequestView) -> Hashable:
    made = make_key_rule(rule)
    assert made is not None
    return find_key(made, request)


def with_header(name: str, value: str) -> Plain:
    return Plain(headers={name: value})


def with_cookies(text: str) -> Plain:
    return with_header("cookie", text)


def with_json(value: object) -> Plain:
    return Plain(body=json.dumps(value).encode())


CHAT = {
    "model": "small",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How are you today?"},
    ],
}


@pytest.mark.parametrize(
    ("rule", "request_", "key"),
    [
        ("header:X-User", with_header("x-user", "17"), "17"),
        ("Header:x-user", with_header("x-user", "17"), "17"),
        ("header:X-User", Plain(), None),
        ("header:X-User", with_header("x-user", " 1 7\t"), "1 7"),
        ("header:X-User", with_header("x-user", ""), None),
        ("header:X-User", with_header("x-user", " "), None),
        ("cookie:session", with_cookies("theme=dark; session=abc"), "abc"),
        ("cookie:session", with_cookies("session=abc; session=def"), "abc"),
        ("cookie:session", with_cookies('session="a b"'), "a b"),
        ("cookie:session", with_cookies("Session=abc; mysession=def"), None),
        ("cookie:session", with_cookies("session="), None),
        ("cookie:session", Plain(), None),
        ("cookie:path", with_cookies("theme=dark; path=abc"), "abc"),
        ("cookie:$a", with_cookies("$a=b"), "b"),
        # What one cannot be read hides no other.
        ("cookie:session", with_cookies('theme={"a": 1}; session=abc'), "abc"),
        ("cookie:session", with_cookies("a/b=1; session=abc"), "abc"),
        ("cookie:session", with_cookies("; ;x; =; session=abc"), "abc"),
        ("path", Plain("http://orders/v1/items?page=2#top"), "/v1/items"),
        ("path", Plain("http://orders"), "/"),
        ("path", Plain("http://orders/a%20b/%e2%82%ac/%7Eme"), "/a b/€/~me"),
        ("query:user", Plain("http://orders/?page=2&user=17#user=18"), "17"),
        ("query:user", Plain("http://orders/?user=17&user=18"), "17"),
        ("query:user", Plain("http://orders/?user=a+b%26c"), "a b&c"),
        ("query:user", Plain("http://orders/?user="), None),
        ("query:user", Plain("http://orders/user=17"), None),
        ("query:filter[a:b]", Plain("http://orders/?filter%5Ba:b%5D=17"), "17"),
        ("query:a%2Cb", Plain("http://orders/?a,b=17"), "17"),
        ("json:prompt", with_json({"prompt": "Hello"}), "Hello"),
        ("json:prompt:2", with_json({"prompt": "Hello"}), "He"),
        ("json:prompt:256", with_json({"prompt": "Hello"}), "Hello"),
        ("json:prompt:2", with_json({"prompt": "😀😀😀"}), "😀😀"),
        ("json:prompt", with_json({"prompt": ""}), None),
        ("json:prompt", with_json({"prompt": None}), None),
        ("json:prompt", with_json({"prompt": []}), None),
        ("json:prompt", with_json({"prompt": {}}), None),
        ("json:prompt", with_json({}), None),
        ("json:prompt", with_json(["prompt"]), None),
        ("json:prompt", with_json("prompt"), None),
        ("json:user", with_json({"user": 17}), "17"),
        ("json:user", with_json({"user": 0}), "0"),
        ("json:user", with_json({"user": False}), "false"),
        ("json:messages.1.content", with_json(CHAT), "How are you today?"),
        ("json:messages.1.content:3", with_json(CHAT), "How"),
        ("json:tags:5", with_json({"tags": ["é", 1]}), '["é",'),
        ("json:messages.0:16", with_json(CHAT), '{"content":"Be b'),
        ("json:messages.2.content", with_json(CHAT), None),
        ("json:messages.-1.content", with_json(CHAT), None),
        ("json:messages.content", with_json(CHAT), None),
        ("json:model.0", with_json(CHAT), None),
        ("json:0.1", with_json([["a", "b"]]), "b"),
        ("json:0", with_json({"0": "a"}), "a"),
        ("json:a%2Eb%3A1.c%20d:1", with_json({"a.b:1": {"c d": "xy"}}), "x"),
        ("json:prompt", Plain(body='{"prompt": "Hello"}'), "Hello"),
        ("json:prompt", Plain(body='{"prompt": "é"}'.encode("utf-16")), "é"),
    ],
)
def test_rule_finds_the_key(rule: str, request_: Plain, key: str | None) -> None:
    assert key_of(rule, request_) == key


@pytest.mark.parametrize(
    "request_",
    [
        Plain(),
        Plain(body=b""),
        Plain(body=b"prompt=Hello"),
        Plain(body=b'{"prompt": "Hello"'),
        Plain(body=b'\xff{"prompt": "Hello"}'),
        Plain(body=b'{"prompt":' + b"[" * 100_000),
        Plain(body=b'{"prompt":' + b"9" * 5_000 + b"}"),
        Plain(body=b'{"prompt": "Hello"}', headers={"content-encoding": "gzip"}),
    ],
    ids=[
        "none",
        "empty",
        "a form",
        "cut",
        "no text",
        "too deep",
        "too large a number",
        "compressed",
    ],
)
def test_body_that_cannot_be_looked_into_gives_no_key(request_: Plain) -> None:
    assert key_of("json:prompt", request_) is None


def test_body_that_says_that_it_is_not_compressed_gives_a_key() -> None:
    request = Plain(body=b'{"a": "b"}', headers={"content-encoding": "Identity"})

    assert key_of("json:a", request) == "b"


@pytest.mark.parametrize(("more", "key"), [(0, "Hello"), (1, None)])
def test_body_that_is_too_large_gives_no_key(more: int, key: str | None) -> None:
    body = b'{"prompt": "Hello"}'
    padded = body + b" " * (LARGEST_BODY - len(body) + more)

    assert key_of("json:prompt", Plain(body=padded)) == key


def test_value_that_is_no_text_counts_whatever_the_order_of_its_fields() -> None:
    one = with_json({"user": {"id": 1, "region": "é"}})
    other = Plain(body='{"user": {"region" : "é", "id":1}}')

    assert key_of("json:user", one) == key_of("json:user", other)


@pytest.mark.parametrize(
    "rule",
    [
        "header:X-User,cookie:session,path",
        " header:X-User , cookie:session path ",
        ["header:X-User", "cookie:session", "path"],
        ("header:X-User,cookie:session", "path"),
    ],
)
def test_first_of_several_that_finds_something_wins(rule: object) -> None:
    both = {"x-user": "17", "cookie": "session=abc"}

    assert key_of(rule, Plain(headers=both)) == "17"
    assert key_of(rule, with_cookies("session=abc")) == "abc"
    assert key_of(rule, Plain()) == "/"


def test_body_is_parsed_once_for_all_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []
    loads = json.loads

    def count(body: Any) -> Any:
        parsed.append(body)
        return loads(body)

    monkeypatch.setattr(json, "loads", count)

    key = key_of("json:user,json:session,json:prompt", with_json({"prompt": "Hello"}))

    assert (key, len(parsed)) == ("Hello", 1)


def test_function_is_asked_about_the_native_request() -> None:
    request = with_header("x-user", "17")

    assert key_of(lambda native: (native.headers["x-user"], 1), request) == ("17", 1)
    assert key_of(lambda native: None, request) is None


def test_what_a_function_raises_leaves_as_it_is() -> None:
    error = RuntimeError("no user")

    def fail(native: object) -> str:
        raise error

    with pytest.raises(RuntimeError) as raised:
        key_of(fail, Plain())

    assert raised.value is error


@pytest.mark.parametrize("key", [["secret"], ("a", ["secret"]), {"secret": 1}])
def test_key_that_cannot_be_hashed_is_refused_and_not_shown(key: object) -> None:
    with pytest.raises(ConfigurationError, match="cannot be hashed; return a str") as e:
        key_of(lambda native: key, Plain())

    assert "secret" not in str(e.value)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab0"), inner),
)


@given(
    url=st.text(),
    cookie=st.text(st.sampled_from('ab=; ,"{:/\\é$')),
    body=st.binary() | st.text() | st.none() | documents.map(json.dumps),
)
def test_any_request_has_a_key_or_none(url: str, cookie: str, body: Any) -> None:
    request = Plain(f"http://orders/{url}", {"cookie": cookie}, body)

    for rule in ("cookie:a", "path", "query:a", "json:a", "json:0.a:2", "json:b.0"):
        key = key_of(rule, request)
        assert key is None or (isinstance(key, str) and key)
