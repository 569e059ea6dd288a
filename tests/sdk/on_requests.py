"""The SDKs that are built on requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import elastic_transport
import google.oauth2.credentials
import requests
import stripe
from elasticsearch import Elasticsearch
from google.auth.transport.requests import AuthorizedSession

from lbtransport import LoadBalancer
from lbtransport.requests import mount
from tests.sdk.kit import Calls, Errors, Sdk


@contextlib.contextmanager
def connect_stripe(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    with requests.Session() as session:
        mount(session, service)
        client = stripe.StripeClient(
            "sk_test",
            max_network_retries=0,
            base_addresses={"api": "http://orders"},
            http_client=stripe.RequestsClient(session=session, timeout=timeout),
        )
        yield Calls(lambda: client.v1.customers.create({"name": "Ada"}))


@contextlib.contextmanager
def _connect_google(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    credentials = google.oauth2.credentials.Credentials("token")
    with AuthorizedSession(credentials) as session:
        mount(session, service)
        yield Calls(
            lambda: session.post("http://orders/v1/items", json={}, timeout=timeout)
        )


@contextlib.contextmanager
def connect_elasticsearch(
    service: LoadBalancer, timeout: float, *, max_retries: int = 0
) -> Iterator[Calls]:
    class BalancedNode(elastic_transport.RequestsHttpNode):
        def __init__(self, config: elastic_transport.NodeConfig) -> None:
            super().__init__(config)
            mount(self.session, service)

    with Elasticsearch(
        "http://orders:9200",
        node_class=BalancedNode,
        max_retries=max_retries,
        request_timeout=timeout,
    ) as client:
        yield Calls(lambda: client.index(index="items", document={"color": "red"}))


SDKS = [
    Sdk(
        "stripe",
        connect_stripe,
        Errors(
            unreachable=stripe.APIConnectionError,
            cut_off=stripe.APIConnectionError,
            timed_out=stripe.APIConnectionError,
        ),
        streams=False,
        declares_posts_idempotent=True,
    ),
    Sdk(
        "google-auth",
        _connect_google,
        Errors(
            unreachable=requests.ConnectionError,
            cut_off=requests.ConnectionError,
            timed_out=requests.Timeout,
        ),
        streams=False,
    ),
    Sdk(
        "elasticsearch",
        connect_elasticsearch,
        Errors(
            unreachable=elastic_transport.ConnectionError,
            cut_off=elastic_transport.ConnectionError,
            timed_out=elastic_transport.ConnectionTimeout,
        ),
        streams=False,
    ),
]
