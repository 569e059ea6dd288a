"""Responses that are not urllib3's own: those of libraries that mock requests."""

from __future__ import annotations

import io

import pytest
import requests
import urllib3

from lbtransport import LoadBalancer
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    DONE,
    Balanced,
    outcomes_of,
)


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
