"""Rules for keys: how they are read, and when they have no effect."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError
from lbtransport._key_rules import (
    Cookie,
    Field,
    Header,
    Parameter,
    Path,
    make_key_rule,
)
from lbtransport.strategies import Candidates, Member
from tests.core_kit import make_service


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (None, None),
        ("header:X-User", (Header("x-user"),)),
        ("Cookie:Session", (Cookie("Session"),)),
        ("path", (Path(),)),
        ("query:filter[a:b]", (Parameter("filter[a:b]"),)),
        ("query:a%2Cb", (Parameter("a,b"),)),
        ("json:prompt", (Field(("prompt",)),)),
        ("json:messages.0.content:256", (Field(("messages", "0", "content"), 256),)),
        ("json:a%2Eb%3A1.c%20d:1", (Field(("a.b:1", "c d"), 1),)),
        (
            " path,cookie:a , header:b\tpath ",
            (Path(), Cookie("a"), Header("b"), Path()),
        ),
        (["path", "cookie:a, header:b"], (Path(), Cookie("a"), Header("b"))),
        (("path",), (Path(),)),
    ],
)
def test_rule_is_read(written: Any, meant: object) -> None:
    assert make_key_rule(written) == meant


@pytest.mark.parametrize(
    "word",
    [
        "X-User",
        "headr:X-User",
        "header",
        "header:",
        "header:X:User",
        "header:X(User)",
        "header:Nutzer-Währung",
        "cookie",
        "cookie:",
        "cookie:a=b",
        "cookie:a;b",
        "cookie:a/b",
        "path:",
        "path:/v1",
        "query",
        "query:",
        "json",
        "json:",
        "json:.a",
        "json:a..b",
        "json:a:",
        "json:a:0",
        "json:a:-1",
        "json:a:x",
        "json:a:1:2",
        "json:a:9999999999",
    ],
)
def test_what_is_no_rule_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError, match="is no rule for keys") as raised:
        make_key_rule(["path", word])

    assert str(raised.value).startswith(f"{word!r} ")
    assert "header:<name>, cookie:<name>, path, query:<name>, json:" in str(
        raised.value
    )


@pytest.mark.parametrize("nothing", ["", " , ", [], ()])
def test_rule_that_names_nothing_is_refused(nothing: Any) -> None:
    with pytest.raises(
        ConfigurationError, match="no rule is named; write header:<name>"
    ):
        make_key_rule(nothing)


@pytest.mark.parametrize("other", [17, True, b"path", [None], {"path": 1}, {"path"}])
def test_what_can_be_no_rule_is_refused(other: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a text, a list of texts, or a "):
        make_key_rule(other)


def test_function_that_must_be_awaited_is_refused() -> None:
    async def ask(native: object) -> str:
        return "17"

    untyped: Any = ask

    with pytest.raises(ConfigurationError, match="give a function that is not async"):
        make_key_rule(untyped)


@given(st.text() | st.lists(st.text()))
def test_any_text_is_a_rule_or_a_mistake(text: Any) -> None:
    try:
        rule = make_key_rule(text)
    except ConfigurationError:
        return

    assert rule


def coded(name: str) -> str:
    """Percent-encode a name, dots too."""
    return quote(name, safe="", errors="surrogatepass").replace(".", "%2E")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(names)
def test_any_name_of_a_parameter_can_be_written(name: str) -> None:
    assert make_key_rule(f"query:{coded(name)}") == (Parameter(name),)


@given(st.lists(names, min_size=1), st.none() | st.integers(1, 999_999_999))
def test_any_field_can_be_written(steps: list[str], length: int | None) -> None:
    rule = "json:" + ".".join(map(coded, steps))
    if length is not None:
        rule += f":{length}"

    assert make_key_rule(rule) == (Field(tuple(steps), length),)


# A rule without effect


class Own:
    """A strategy of a user's own."""

    def members_changed(self, members: Sequence[Member]) -> None:
        pass

    def choose(self, candidates: Candidates, **rest: object) -> Member:
        return candidates[0]


class OwnByKey(Own):
    """One that says that it spreads by key."""

    is_keyed = True


@pytest.mark.parametrize("strategy", ["round_robin", "adaptive", Own()])
def test_strategy_that_does_not_spread_by_key_draws_one_warning(
    strategy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service(strategy=strategy, key="path")

    service.select(key="17").release()

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("lbtransport.balancer", logging.WARNING)
    assert record.getMessage().endswith(
        f"service=orders strategy={type(service.core._strategy).__name__}"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "consistent_hash", "key": "path"},
        {"strategy": "rendezvous", "key": "path"},
        {"strategy": "maglev;table_size=17", "key": "path"},
        {"strategy": OwnByKey(), "key": "path"},
        {"strategy": "round_robin"},
        {"strategy": "maglev;table_size=17"},
    ],
)
def test_otherwise_there_is_no_warning(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    make_service(**options)

    assert not caplog.records
