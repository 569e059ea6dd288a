"""Libraries that mock requests, and responses that are not urllib3's own."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import requests
import requests_mock
import responses
import urllib3
import vcr

from lbtransport import LoadBalancer
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    DONE,
    Balanced,
    orders_at,
    outcomes_of,
)
from tests.servers import LoopbackServer

# The libraries


@pytest.mark.parametrize("stream", [False, True])
def test_responses_mocks_logical_urls(
    client: Balanced, service: LoadBalancer, server: LoopbackServer, *, stream: bool
) -> None:
    with responses.RequestsMock() as mock:
        mock.get("http://orders/v1", json={"a": 1}, headers={"Set-Cookie": "b=2"})
        mock.post("http://orders/v1", status=404)

        answers = [
            client.session.request(method, "http://orders/v1", stream=stream)
            for method in ("GET", "POST")
        ]
        contents = [answer.content for answer in answers]
        first, second = mock.calls

    assert contents == [b'{"a": 1}', b""]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert client.session.cookies["b"] == "2"
    assert (first.request.url, second.request.method) == ("http://orders/v1", "POST")
    assert server.connections == 0
    assert outcomes_of(service) == (2, 0, 0)


def test_responses_mocks_failures_that_are_repeated(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url, "http://10.9.8.7")
    client = balance(service)
    with responses.RequestsMock() as mock:
        mock.get("http://orders/v1", body=requests.ConnectionError("mocked"))
        mock.get("http://orders/v1", body="second")

        text = client.get("http://orders/v1").text

    assert text == "second"
    assert outcomes_of(service) == (2, 1, 0)


def test_requests_mock_mocks_logical_urls(
    client: Balanced, service: LoadBalancer, server: LoopbackServer
) -> None:
    with requests_mock.Mocker() as mock:
        mock.get("http://orders/v1", text="mocked")

        text = client.get("http://orders/v1").text

    assert (text, server.connections) == ("mocked", 0)
    assert outcomes_of(service) == (0, 0, 0)


def test_requests_mock_mounted_on_a_session_comes_before_us(
    client: Balanced, server: LoopbackServer
) -> None:
    mock = requests_mock.Adapter()
    mock.register_uri("GET", "http://orders/v1", text="mocked")
    client.session.mount("http://orders/", mock)

    text = client.get("http://orders/v1").text

    assert (text, server.connections) == ("mocked", 0)


@pytest.mark.parametrize("stream", [False, True])
def test_vcrpy_plays_back_what_another_backend_answered(
    balance: Balance,
    three_servers: list[LoopbackServer],
    tmp_path: Path,
    *,
    stream: bool,
) -> None:
    urls = [server.url for server in three_servers]
    service = orders_at(*urls, strategy="round_robin")
    client = balance(service)
    tape = vcr.VCR(match_on=["method", "path", "query"])
    cassette = str(tmp_path / "cassette.yaml")

    def get(number: int) -> str:
        url = f"http://orders/v1?number={number}"
        return client.get(url, stream=stream).text

    client.get("http://orders/")  # whose connection is there before the cassette
    with tape.use_cassette(cassette):
        recorded = [get(number) for number in range(4)]
    for server in three_servers:
        server.kill()
    with tape.use_cassette(cassette, record_mode="none") as played:
        replayed = [get(number) for number in range(4)]

    assert replayed == recorded
    assert set(recorded) == {"0", "1", "2"}
    assert played.all_played
    assert outcomes_of(service) == (9, 0, 0)


def test_vcrpy_can_record_the_logical_name(
    client: Balanced, server: LoopbackServer, tmp_path: Path
) -> None:
    def name_the_service(request: vcr.request.Request) -> vcr.request.Request:
        request.uri = request.uri.replace(server.authority, request.headers["Host"])
        return request

    tape = vcr.VCR(before_record_request=name_the_service)

    with tape.use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
        client.get("http://orders/v1")

    assert [request.uri for request in cassette.requests] == ["http://orders/v1"]


# Responses that are not urllib3's own


class StrangeResponse(urllib3.HTTPResponse):
    pass


def test_a_response_of_another_kind_is_over_with_its_headers(
    client: Balanced, service: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(adapter: requests.adapters.HTTPAdapter, request: object, **_: object):  # type: ignore[no-untyped-def]  # a mock's
        raw = StrangeResponse(io.BytesIO(b"mocked"), status=200, preload_content=False)
        return adapter.build_response(request, raw)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)

    response = client.get("http://orders/", stream=True)

    assert type(response.raw) is StrangeResponse
    assert outcomes_of(service) == DONE
    assert response.content == b"mocked"


class LateBody(io.BytesIO):
    """A body like that of the library "responses": it closes when it is asked."""

    def isclosed(self) -> bool:
        was_closed = self.closed
        if not was_closed and self.tell() == len(self.getbuffer()):
            self.close()
        return was_closed


def test_a_mock_whose_body_hides_its_end_is_over_all_the_same(
    client: Balanced, service: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(
        adapter: requests.adapters.HTTPAdapter,
        request: requests.PreparedRequest,
        **_: object,
    ) -> requests.Response:
        body = LateBody(b"mocked")
        raw = urllib3.HTTPResponse(body, status=200, preload_content=False)
        return adapter.build_response(request, raw)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)

    response = client.get("http://orders/")

    assert response.content == b"mocked"
    assert outcomes_of(service) == DONE


def test_cookies_of_a_mock_are_mapped_as_far_as_it_has_them(
    balance: Balance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(
        adapter: requests.adapters.HTTPAdapter,
        request: requests.PreparedRequest,
        **_: object,
    ) -> requests.Response:
        headers = {"Set-Cookie": "a=1; Path=/base"}
        raw = urllib3.HTTPResponse(io.BytesIO(), headers, 200, preload_content=False)
        return adapter.build_response(request, raw)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)
    client = balance("http://10.9.8.7/base")

    response = client.get("http://orders/")

    assert response.headers["Set-Cookie"] == "a=1; Path=/"


def test_a_mock_of_the_adapter_sees_the_logical_url_and_the_caller_his_request(
    client: Balanced, service: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def answer(
        adapter: object, request: requests.PreparedRequest, **_: object
    ) -> requests.Response:
        seen.append(request.url)
        response = requests.Response()
        response.status_code = 200
        response.request = request
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)
    request = client.session.prepare_request(requests.Request("GET", "http://orders/"))
    response = client.session.get_adapter("http://orders/").send(request)

    assert seen == ["http://orders/"]
    assert response.request is request
    assert outcomes_of(service) == DONE
