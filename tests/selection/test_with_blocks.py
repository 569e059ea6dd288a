"""A with block gives its backend back and judges it by what left the block."""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import pytest
import requests

from tests.core_kit import A, make_service, stats_of
from tests.selection.kit import counts


def test_with_block_releases() -> None:
    service = make_service([A])

    with service.select() as selection:
        assert selection.backend.url == A
        assert counts(service) == (1, 1)

    assert counts(service) == (0, 0)
    assert stats_of(service, A).latency == 0.0


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (ConnectionRefusedError(), 1),
        (OSError(), 1),
        (TimeoutError(), 1),
        (requests.ConnectionError(), 1),
        (httpx.ConnectError("refused"), 1),
        (httpx2.ReadTimeout("slow"), 1),
        (ValueError(), 0),
        (requests.exceptions.InvalidURL(), 0),
        (KeyboardInterrupt(), 0),
        (SystemExit(), 0),
        (GeneratorExit(), 0),
        (asyncio.CancelledError(), 0),
    ],
    ids=lambda value: (
        type(value).__name__ if isinstance(value, BaseException) else None
    ),
)
def test_with_block_judges_by_what_left_it(error: BaseException, failures: int) -> None:
    service = make_service([A])

    with pytest.raises(type(error)) as caught, service.select():
        raise error

    assert caught.value is error
    assert counts(service) == (0, 0)
    assert stats_of(service, A).failures == failures
    assert stats_of(service, A).latency is None


def test_release_inside_the_block_is_the_one_that_counts() -> None:
    service = make_service([A])

    with pytest.raises(OSError, match="late"), service.select() as selection:
        selection.release()
        raise OSError("late")

    assert stats_of(service, A).failures == 0


def test_error_given_to_release_is_judged() -> None:
    service = make_service([A])

    service.select().release(error=httpx.ConnectError("refused"))

    assert stats_of(service, A).failures == 1
