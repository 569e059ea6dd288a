"""How settings are read, from texts and from the values of TOML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend, ConfigurationError, HealthPolicy, RetryPolicy
from lbtransport._errors import hide_credentials
from lbtransport._grammar import (
    DURATION_ENDINGS,
    read_backends,
    read_check,
    read_safely,
    reader_of,
    without_secrets,
)
from lbtransport._values import did_you_mean, read_duration, split
from lbtransport.checks import HttpCheck, Pace, TcpCheck
from tests.config_kit import SECRET, attributes, everything_said, mistake_in

# Single values


@pytest.mark.parametrize(
    ("name", "hint", "written", "meant"),
    [
        ("zone", str, " b ", "b"),
        ("zone", str | None, "none", "none"),
        ("attempts", int, "2", 2),
        ("attempts", int, " -2 ", -2),
        ("attempts", int, 2, 2),
        ("weight", float, "2.5", 2.5),
        ("weight", float, "3", 3),
        ("weight", float, 3, 3),
        ("fail_open", bool, True, True),
        ("fail_open", bool, False, False),
        *[("fail_open", bool, word, True) for word in ("true", "1", "YES", " on ")],
        *[("fail_open", bool, word, False) for word in ("false", "0", "No", "off")],
        ("deadline", float, "10s", 10.0),
        ("deadline", float, "500ms", 0.5),
        ("deadline", float, "35ms", 0.035),
        ("deadline", float, "1.5", 1.5),
        ("deadline", float, ".5s", 0.5),
        ("deadline", float, "1.m", 60.0),
        ("deadline", float, "2 m", 120.0),
        ("deadline", float, "1h", 3600.0),
        ("deadline", float, "-1s", -1.0),
        ("deadline", float, 1.5, 1.5),
        ("deadline", float, 2, 2),
        ("deadline", float | None, "none", None),
        ("deadline", float | None, "2s", 2.0),
        ("deadline", float | None, 2, 2),
        ("subset", int | None, " None ", None),
        ("statuses", Collection[int], "500, 503 504", {500, 503, 504}),
        ("statuses", frozenset[int], [500, "503"], {500, 503}),
        ("statuses", Collection[int], "none", set()),
        ("statuses", Collection[int], [], set()),
        ("key", tuple[str, ...], "c, a b", ("c", "a", "b")),
        ("key", tuple[str, ...], ["c", "a"], ("c", "a")),
    ],
    ids=repr,
)
def test_value_is_read_as_its_type_says(
    name: str, hint: object, written: object, meant: object
) -> None:
    value = reader_of(name, hint)(written)

    assert value == meant
    assert not isinstance(meant, bool) or value is meant


@pytest.mark.parametrize(
    ("name", "hint", "written", "message"),
    [
        ("zone", str, 3, "3 is no text; put it in quotes"),
        ("attempts", int, "two", "'two' is no integer; give one, such as 3"),
        ("attempts", int, "2.0", "'2.0' is no integer"),
        ("attempts", int, 2.0, "2.0 is no integer"),
        ("attempts", int, True, "True is no integer"),
        ("max_ejected", float, "half", "'half' is no number; give one, such as 0.5"),
        ("max_ejected", float, "1s", "'1s' is no number"),
        ("max_ejected", float, False, "False is no number"),
        (
            "fail_open",
            bool,
            "maybe",
            "'maybe' is neither true nor false; choose one of",
        ),
        ("fail_open", bool, 1, "1 is neither true nor false"),
        ("fail_open", bool, [], "[] is neither true nor false"),
        ("deadline", float, "soon", "'soon' is no duration; give seconds, or a number"),
        ("deadline", float, "10 parsecs", "'10 parsecs' is no duration"),
        ("deadline", float, "s", "'s' is no duration"),
        ("deadline", float, "1e3", "'1e3' is no duration"),
        ("deadline", float, "nan", "'nan' is no duration"),
        ("deadline", float, True, "True is no duration"),
        ("deadline", float | None, "never", "'never' is no duration"),
        ("statuses", Collection[int], "500,many", "'many' is no integer"),
        ("statuses", Collection[int], 500, "500 is no list; separate its items by"),
        ("methods", Collection[str], ["GET", 1], "1 is no text"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_named_with_what_would_be_right(
    name: str, hint: object, written: object, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        reader_of(name, hint)(written)


@pytest.mark.parametrize("hint", [Callable[[], None], object, dict, list])
def test_type_that_no_text_can_have_is_refused_when_the_reader_is_made(
    hint: object,
) -> None:
    with pytest.raises(TypeError, match=r"choose_it: a .* cannot be read from"):
        reader_of("choose_it", hint)


@pytest.mark.parametrize("policy", [RetryPolicy, HealthPolicy, Pace])
def test_fields_that_are_documented_in_seconds_are_read_as_durations(
    policy: type,
) -> None:
    hints = get_type_hints(policy)
    documented = set(re.findall(r"^\s+(\w+): Seconds\b", policy.__doc__ or "", re.M))

    by_name = {
        field.name
        for field in dataclasses.fields(policy)
        if field.name.endswith(DURATION_ENDINGS)
        and hints[field.name] in (float, float | None)
    }

    assert by_name == documented


@given(st.integers(0, 10**9))
def test_duration_in_milliseconds_is_the_nearest_float(milliseconds: int) -> None:
    assert read_duration(f"{milliseconds}ms") == milliseconds / 1000


# Backends


def test_backends_have_a_reader_of_their_own() -> None:
    assert reader_of("backends", tuple[Backend, ...]) is read_backends


def test_backends_are_separated_by_blanks_commas_or_both() -> None:
    text = " http://a:1 http://b,http://c/v1 ,\n https://d "

    backends = read_backends(text)

    assert [backend.url for backend in backends] == [
        "http://a:1",
        "http://b",
        "http://c/v1",
        "https://d",
    ]


def test_backend_in_a_text_may_have_options() -> None:
    (backend,) = read_backends(
        "http://a;weight=2.5;priority=1;zone=b;host=backend;tls_name=a.example;"
    )

    assert attributes(backend) == {
        "url": "http://a",
        "weight": 2.5,
        "priority": 1,
        "zone": "b",
        "host": "backend",
        "tls_name": "a.example",
        "headers": {},
        "metadata": None,
    }


def test_userinfo_of_a_backend_becomes_its_header() -> None:
    (backend,) = read_backends(f"http://user:{SECRET}@a;weight=2")

    assert backend.url == "http://a"
    assert set(backend.headers or ()) == {"Authorization"}


def test_list_may_hold_texts_and_tables() -> None:
    table = {
        "url": "http://c",
        "weight": 2,
        "headers": {"Authorization": SECRET},
        "metadata": {"rack": 7},
    }

    one, two, three = read_backends(["http://a;zone=b http://b", table])

    assert (one.zone, two.url) == ("b", "http://b")
    assert attributes(three) == {
        **attributes(Backend("http://c")),
        **table,
    }


def test_single_table_is_a_list_of_one() -> None:
    assert read_backends({"url": "http://a"}) == (Backend("http://a"),)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "'' holds no backend; give the URL of one at least"),
        (",", "',' holds no backend"),
        ([], "[] holds no backend"),
        (3, "3 is no list of backends; write it as 'http://10.0.0.1:8080 http://"),
        ("10.0.0.1", "backend '10.0.0.1' does not begin with http://"),
        ("http://a;weight=many", "backend 'http://a': weight: 'many' is no number"),
        (
            "http://a;weight=-1",
            "weight of backend 'http://a'=-1.0: give 0, or a number",
        ),
        ("http://a;wieght=1", "'wieght=1' is no option (did you mean weight?); write"),
        (
            "http://a;weight=2;http://b",
            (
                "backend 'http://a;weight=2;http://b' goes on after a semicolon with "
                "another URL; put a blank or a comma between backends"
            ),
        ),
        ("http://a;weight", "'weight' is no option"),
        ("http://a;zone=", "'zone=' is no option"),
        ("http://a;zone=b;zone=c", "zone is there twice; keep one of them"),
        ("http://a;headers=x", "out of: weight, priority, zone, host, tls_name"),
        ([{}], "a backend has no url; give it one, as a text"),
        ([{"url": 3}], "a backend has no url"),
        (
            [{"url": "http://a", "colour": 1}],
            "has no argument 'colour'; choose one of: url",
        ),
        (
            [{"url": "http://a", "header": {}}],
            "has no argument 'header' (did you mean headers?); choose one of: url",
        ),
        ([{"url": "http://a", "weight": []}], "'http://a': weight: [] is no number"),
        ([{"url": "http://a", "metadata": 3}], "metadata: give a table"),
    ],
)
def test_mistake_in_a_list_of_backends_is_named(written: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read_backends(written)


@st.composite
def listed_backends(draw: st.DrawFn) -> tuple[Backend, str]:
    """Draw a backend, and a text for it."""
    words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=9)
    number = draw(st.integers(0, 255))
    url = f"http://10.0.0.{number}:{draw(st.integers(1, 65535))}/{draw(words)}"
    options: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "weight": st.just(0.0) | st.floats(1e-9, 1e9),
                "priority": st.integers(0, 99),
                "zone": words,
                "host": words,
                "tls_name": words,
            },
        )
    )
    text = "".join(f";{name}={value}" for name, value in options.items())
    return Backend(url, **options), url + text


@given(
    st.lists(listed_backends(), min_size=1),
    st.sampled_from([" ", ",", ", ", " ,\t", "\n"]),
)
def test_list_of_backends_is_read_as_it_was_written(
    listed: list[tuple[Backend, str]], separator: str
) -> None:
    backends = read_backends(separator.join(text for _, text in listed))

    assert [attributes(backend) for backend in backends] == [
        attributes(backend) for backend, _ in listed
    ]


# Secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a/b", "http://a/b"),
        (f"http://u:{SECRET}@a http://b", "http://***@a http://b"),
        (f"http://u:{SECRET}/x@a", "http://***@a"),
        (f"http://b http://u:{SECRET} x@a", "http://b http://***@a"),
        (f"u:{SECRET}@a:80", "***@a:80"),
        (f"http://a/b?x={SECRET}, http://c", "http://a/b?***, http://c"),
        (f"http://u:{SECRET}@a?x={SECRET};y={SECRET}", "http://***@a?***"),
        (f"http://a#{SECRET}", "http://a#***"),
        ("http://a?***: why", "http://a?***: why"),
    ],
)
def test_credentials_are_hidden_wherever_a_mistake_puts_them(
    text: str, shown: str
) -> None:
    assert hide_credentials(text) == shown


@pytest.mark.parametrize(
    "written",
    [
        f"http://u:{SECRET}@a:port",
        f"http://u:{SECRET},x@a",
        f"http://u:x,{SECRET}@a",
        f"http://u:x {SECRET}@a",
        f"http://u:x;{SECRET}@a",
        f"http://u:x/{SECRET}@a",
        f"http://u:{SECRET}/x@a",
        f"http://u:{SECRET}#x@a",
        f"u:{SECRET}@a",
        f"http://u:{SECRET}@a;weight=x",
        f"http://ok http://u:{SECRET}@a;weight=-1",
        [f"http://u:{SECRET}@a", {"url": "http://b", "zone": 1}],
        [{"url": f"http://u:{SECRET}@a", "weight": "x"}],
        [{"url": "http://a", "headers": SECRET}],
        [{"url": "http://a", "headers": [SECRET]}],
        [{"url": "http://a", "headers": {"A": [SECRET]}}],
        [{"url": "http://a", "headers": {"A": {"B": SECRET}}}],
        [{"url": "http://a", "headers": {"A": 1, "B": SECRET}}],
        [{"url": "http://a", "headers": {"A": SECRET}, "weight": []}],
        [{"url": "http://a", "metadata": {"A": SECRET}, "weight": []}],
        [{"url": "http://a", "token": SECRET}],
        [{"url": "http://a", "header": {"A": SECRET}}],
        [{"url": f"http://a?token={SECRET}"}],
        f"http://a?token=x,{SECRET}",
        f"http://b http://a?token=x;{SECRET}",
    ],
)
def test_no_secret_is_in_an_error_nor_in_its_chain(written: object) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_safely(read_backends, written)

    assert SECRET not in everything_said(raised.value)
    assert SECRET not in repr(without_secrets(written))


@given(st.text(min_size=3).filter(lambda text: not text.isalnum()))
def test_no_password_however_odd_is_in_an_error(password: str) -> None:
    marked = f"{SECRET}{password}{SECRET}"

    error = mistake_in(
        lambda: read_safely(read_backends, f"http://user:{marked}@a;weight=x")
    )

    assert error is not None
    assert SECRET not in everything_said(error)


def test_header_that_is_no_text_is_hidden_as_well() -> None:
    written = [{"url": "http://a", "headers": {"X-Pin": 271828}}]

    with pytest.raises(
        ConfigurationError, match="values of headers are texts"
    ) as raised:
        read_safely(read_backends, written)

    assert "271828" not in everything_said(raised.value)
    assert "271828" not in repr(without_secrets(written))


def test_value_that_cannot_be_a_header_s_is_told_apart_without_being_shown() -> None:
    written = [{"url": "http://a", "headers": {"A": f"{SECRET}\n"}}]

    error = mistake_in(lambda: read_safely(read_backends, written))

    assert "give headers ASCII texts without line breaks" in str(error)
    assert error is not None
    assert SECRET not in everything_said(error)


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "http", "header": {"A": SECRET}},
        {"kind": "http", "headers": {"A": SECRET}, "interval": 0},
        {"kind": "http", "headers": {"A": f"{SECRET}\n"}},
        {"kind": "ping", "headers": {"A": SECRET}},
        {"token": SECRET},
    ],
)
def test_no_header_of_a_check_is_in_an_error(written: dict[str, object]) -> None:
    error = mistake_in(lambda: read_safely(read_check, written))

    assert error is not None
    assert SECRET not in everything_said(error)
    assert SECRET not in repr(without_secrets(written))


# Words


def test_words_are_split_at_blanks_and_commas() -> None:
    assert split(" a, b\tc,,d ") == ["a", "b", "c", "d"]


def test_question_names_what_is_alike() -> None:
    known = ["STRATEGY", "DEADLINE"]

    assert did_you_mean("STRATGY", known, "X_") == " (did you mean X_STRATEGY?)"
    assert did_you_mean("zzz", known) == ""


# Checks


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http", HttpCheck()),
        (" tcp ; interval=500ms ; fall=2", TcpCheck(interval=0.5, fall=2)),
        (
            "http;path=/healthz?a=b;method=HEAD;statuses=200,204;down_interval=none",
            HttpCheck("/healthz?a=b", method="HEAD", statuses=[200, 204]),
        ),
        ("http;body=ok|ready;body_limit=10", HttpCheck(body="ok|ready", body_limit=10)),
        ("http;verify=off", HttpCheck(verify=False)),
        ("http;verify=/etc/ca.pem", HttpCheck(verify="/etc/ca.pem")),
        ("http;timeout=1;jitter=0.1;rise=1", HttpCheck(timeout=1, jitter=0.1, rise=1)),
        ({"kind": "tcp", "interval": 5}, TcpCheck(interval=5)),
        (
            {"kind": "http", "body": "a;b", "headers": {"X-Probe": "1"}},
            HttpCheck(body="a;b", headers={"X-Probe": "1"}),
        ),
    ],
    ids=repr,
)
def test_check_is_read(written: object, meant: object) -> None:
    assert read_check(written) == meant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("ping", "'ping' is no kind of check; choose one of: http, tcp"),
        ({"path": "/"}, "'' is no kind of check"),
        (7, "give a table"),
        (
            "http;paht=/",
            "check 'http': 'paht=/' is no option (did you mean path?); write",
        ),
        ("http;headers=X", "'headers=X' is no option"),
        ("tcp;path=/", "'path=/' is no option"),
        ("http;interval=soon", "check 'http': interval: 'soon' is no duration"),
        ("http;interval=0", "interval=0.0: give seconds above 0"),
        ("http;body=(", "body='(' is no regular expression"),
        ({"kind": "tcp", "path": "/"}, "check 'tcp' has no argument 'path'; choose"),
        ({"kind": "http", "verify": 7}, "check 'http': verify: 7 is no text"),
    ],
    ids=repr,
)
def test_what_is_no_check_is_refused(written: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read_check(written)


def test_check_may_be_taken_back() -> None:
    read = reader_of("checks", HttpCheck | TcpCheck | None)

    assert read("none") is None
    assert read("tcp") == TcpCheck()


# Ranges


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("500-502", {500, 501, 502}),
        ("500-502,429 503-503", {429, 500, 501, 502, 503}),
        (["500-501", 429], {429, 500, 501}),
    ],
)
def test_range_of_integers_is_all_of_them(written: object, meant: set[int]) -> None:
    assert reader_of("statuses", Collection[int])(written) == meant


@pytest.mark.parametrize(
    "written", ["502-500", "500-", "-500-502", "500-502-504", "5-99999"]
)
def test_what_is_no_range_is_no_integer(written: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{written}' is no integer"):
        reader_of("statuses", Collection[int])(written)


def test_range_of_texts_is_a_text() -> None:
    assert reader_of("methods", Collection[str])("500-502") == {"500-502"}
