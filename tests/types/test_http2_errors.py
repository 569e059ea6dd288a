"""What a server says in HTTP/2 to end a stream, as the clients hand it on.

The events are h2's own, made of real frames, and nested as httpcore and httpx nest
them; `tests/httpx_family/test_http2_endings.py` has the same from real servers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from lbtransport._types import Fault, Repeat, Verdict
from lbtransport._types.exceptions import fault_of_exception, outcome_of_body_error

REQUEST = [(":method", "GET"), (":authority", "a"), (":scheme", "http"), (":path", "/")]
CLIENTS = pytest.mark.parametrize(
    ("client", "core"),
    [(httpx, httpcore), (httpx2, httpcore2)],
    ids=["httpx", "httpx2"],
)


def event_of(serve: Callable[[h2.connection.H2Connection], None]) -> h2.events.Event:
    """Return the last event that a client sees when a server does as `serve` says."""
    client = h2.connection.H2Connection()
    config = h2.config.H2Configuration(client_side=False)
    server = h2.connection.H2Connection(config)
    client.initiate_connection()
    server.initiate_connection()
    client.send_headers(1, REQUEST, end_stream=True)
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    serve(server)
    return client.receive_data(server.data_to_send())[-1]


def raised(client: Any, core: Any, event: h2.events.Event) -> Exception:
    """Return what a client raises for an event."""
    inner = core.RemoteProtocolError(event)
    outer: Exception = client.RemoteProtocolError(str(inner))
    outer.__cause__ = inner
    return outer


CASES = [
    pytest.param(
        lambda server: server.reset_stream(1, ErrorCodes.REFUSED_STREAM),
        Fault.UNPROCESSED,
        id="refused",
    ),
    pytest.param(
        lambda server: server.reset_stream(1, ErrorCodes.INTERNAL_ERROR),
        Fault.DISCONNECT,
        id="reset",
    ),
    pytest.param(
        lambda server: server.close_connection(last_stream_id=0),
        Fault.UNPROCESSED,
        id="goaway-unprocessed",
    ),
    pytest.param(
        lambda server: server.close_connection(
            ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=0
        ),
        Fault.UNPROCESSED,
        id="goaway-error-unprocessed",
    ),
    pytest.param(
        lambda server: server.close_connection(last_stream_id=1),
        Fault.GOING_AWAY,
        id="goaway-processed",
    ),
    pytest.param(
        lambda server: server.close_connection(last_stream_id=2**31 - 1),
        Fault.GOING_AWAY,
        id="goaway-announced",
    ),
    pytest.param(
        lambda server: server.close_connection(
            ErrorCodes.INTERNAL_ERROR, last_stream_id=1
        ),
        Fault.DISCONNECT,
        id="goaway-error-processed",
    ),
]


@CLIENTS
@pytest.mark.parametrize(("serve", "fault"), CASES)
def test_fault_is_what_the_server_said(
    client: Any,
    core: Any,
    serve: Callable[[h2.connection.H2Connection], None],
    fault: Fault,
) -> None:
    assert fault_of_exception(raised(client, core, event_of(serve))) is fault


@pytest.mark.parametrize("core", [httpcore, httpcore2], ids=["httpx", "httpx2"])
def test_error_of_httpcore_itself_says_the_same(core: Any) -> None:
    event = event_of(lambda server: server.reset_stream(1, ErrorCodes.REFUSED_STREAM))

    assert fault_of_exception(core.RemoteProtocolError(event)) is Fault.UNPROCESSED


@CLIENTS
def test_stream_that_h2_itself_resets_was_malformed(client: Any, core: Any) -> None:
    event = h2.events.StreamReset(stream_id=1, error_code=7, remote_reset=False)

    assert fault_of_exception(raised(client, core, event)) is Fault.MALFORMED


@CLIENTS
def test_event_that_is_not_known_leaves_the_error_as_it_is(
    client: Any, core: Any
) -> None:
    def allow_more_streams(server: h2.connection.H2Connection) -> None:
        server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 7})

    event = event_of(allow_more_streams)

    assert fault_of_exception(raised(client, core, event)) is Fault.MALFORMED


@CLIENTS
def test_words_alone_decide_nothing(client: Any, core: Any) -> None:
    # A release that passes on no event: nobody knows whether it was processed.
    error = client.RemoteProtocolError("<StreamReset stream_id:1, error_code:7>")
    error.__cause__ = core.RemoteProtocolError("<StreamReset stream_id:1>")

    assert fault_of_exception(error) is Fault.MALFORMED


@CLIENTS
def test_body_that_a_parting_server_leaves_unfinished_is_not_its_fault(
    client: Any, core: Any
) -> None:
    event = event_of(lambda server: server.close_connection(last_stream_id=1))

    outcome = outcome_of_body_error(raised(client, core, event))

    assert (outcome.health, outcome.repeat) == (Verdict.NEUTRAL, Repeat.NEVER)


@CLIENTS
def test_body_that_is_reset_is_cut(client: Any, core: Any) -> None:
    event = event_of(lambda server: server.reset_stream(1, ErrorCodes.INTERNAL_ERROR))

    outcome = outcome_of_body_error(raised(client, core, event))

    assert (outcome.health, outcome.fault) == (Verdict.FAILURE, Fault.BODY)


@CLIENTS
def test_frames_that_break_the_protocol_are_not_the_callers_own_error(
    client: Any, core: Any
) -> None:
    with pytest.raises(h2.exceptions.InvalidBodyLengthError) as raised:
        event_of(answer_with_half_a_body)
    error = client.LocalProtocolError("Expected 10 bytes, received 4")
    error.__cause__ = core.LocalProtocolError(raised.value)

    assert fault_of_exception(error) is Fault.MALFORMED


def answer_with_half_a_body(server: h2.connection.H2Connection) -> None:
    server.send_headers(1, [(":status", "200"), ("content-length", "10")])
    server.send_data(1, b"four", end_stream=True)


@CLIENTS
def test_headers_that_h2_refuses_to_send_are_the_callers_own_error(
    client: Any, core: Any
) -> None:
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    with pytest.raises(h2.exceptions.ProtocolError) as raised:
        connection.send_headers(1, [*REQUEST, ("te", "gzip")])
    error = client.LocalProtocolError("Invalid value for TE header")
    error.__cause__ = core.LocalProtocolError(raised.value)

    assert fault_of_exception(error) is Fault.LOCAL
