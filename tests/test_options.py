"""What a caller wants for one request, from near and from far."""

from __future__ import annotations

import contextvars
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from lbtransport import ConfigurationError, RetryPolicy, options
from lbtransport._options import NO_OPTIONS, Options, current_options
from lbtransport.retry import make_plan


def test_nothing_is_wanted_by_default() -> None:
    assert current_options() == NO_OPTIONS == Options(None, None, None, None)


def test_options_hold_inside_the_block_only() -> None:
    with options(key="user-17", deadline=0.5, idempotent=True, retry=False):
        inside = current_options()

    assert (inside.key, inside.deadline, inside.idempotent) == ("user-17", 0.5, True)
    assert inside.retry == make_plan(False)
    assert current_options() == NO_OPTIONS


def test_block_that_raises_leaves_nothing_behind() -> None:
    with pytest.raises(KeyError), options(key=1):
        raise KeyError

    assert current_options() == NO_OPTIONS


def test_inner_block_adds_to_the_outer_one_and_overrules_it() -> None:
    with options(key="outer", deadline=5):
        with options(key="inner", idempotent=False):
            inner = current_options()
        outer = current_options()

    assert (inner.key, inner.deadline, inner.idempotent) == ("inner", 5, False)
    assert (outer.key, outer.deadline, outer.idempotent) == ("outer", 5, None)


def test_values_that_are_false_are_values() -> None:
    with options(key=0, idempotent=False):
        inside = current_options()

    assert (inside.key, inside.idempotent) == (0, False)


def test_retry_becomes_a_plan() -> None:
    with options(retry=RetryPolicy(attempts=7)):
        plan = current_options().retry

    assert plan is not None
    assert plan.policy.attempts == 7


def test_block_can_decorate_a_function() -> None:
    @options(key="decorated")
    def ask() -> object:
        return current_options().key

    assert [ask(), ask()] == ["decorated", "decorated"]
    assert current_options() == NO_OPTIONS


def test_copied_context_carries_the_options() -> None:
    with options(key="mine"):
        context = contextvars.copy_context()

    assert context.run(current_options).key == "mine"


async def test_tasks_do_not_see_each_others_options() -> None:
    seen: dict[str, object] = {}

    async def ask(name: str) -> None:
        with options(key=name):
            await checkpoint()
            seen[name] = current_options().key

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(ask, name)

    assert seen == {"a": "a", "b": "b", "c": "c"}


# A request's own


def test_requests_own_options_win() -> None:
    with options(key="outer", deadline=5):
        merged = current_options({"key": "own", "idempotent": True})

    assert (merged.key, merged.deadline, merged.idempotent) == ("own", 5, True)


def test_none_of_a_requests_own_leaves_it_to_the_block() -> None:
    with options(deadline=5):
        assert current_options({"deadline": None}).deadline == 5


def test_requests_own_retry_becomes_a_plan() -> None:
    assert current_options({"retry": False}).retry == make_plan(False)


@pytest.mark.parametrize("extension", ["key", 7, ["key"], ("a", "b")])
def test_what_is_no_mapping_is_refused(extension: object) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        current_options(extension)

    assert str(refusal.value) == (
        f"the request extension 'lbtransport' is {extension!r}; give a mapping, with "
        f"keys out of: key, deadline, idempotent, retry"
    )


def test_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        current_options({"kye": 1})

    assert "no key 'kye'; its keys are: key, deadline" in str(refusal.value)


BAD: list[dict[str, Any]] = [
    {"deadline": 0},
    {"deadline": -1},
    {"deadline": float("nan")},
    {"deadline": "1s"},
    {"deadline": True},
    {"idempotent": "yes"},
    {"idempotent": 1},
    {"retry": 3},
    {"retry": "never"},
]


@pytest.mark.parametrize("values", BAD)
def test_bad_value_is_refused_and_sets_nothing(values: dict[str, Any]) -> None:
    (name,) = values

    with pytest.raises(ConfigurationError, match=f"{name}="), options(**values):
        pass

    assert current_options() == NO_OPTIONS


@pytest.mark.parametrize("values", BAD)
def test_bad_value_of_a_requests_own_is_refused(values: dict[str, Any]) -> None:
    (name,) = values

    with pytest.raises(ConfigurationError, match=f"{name}="):
        current_options(values)
