"""Certificates are checked by the backend's scheme, for the name that was chosen."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import requests

from lbtransport import Backend, options
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import orders_at
from tests.servers import LoopbackServer, reply

NAMES = {"logical": "orders", "backend": "127.0.0.1", "api.example": "api.example"}
MODES = pytest.mark.parametrize("mode", NAMES)
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


def _backend(server: LoopbackServer, mode: str | None) -> Backend:
    return Backend(server.url, tls_name=mode)


@SCHEMES
@MODES
def test_the_right_certificate_is_taken(
    balance: Balance,
    start_server: ServerStarter,
    authority: Authority,
    ca_file: Path,
    *,
    mode: str,
    scheme: str,
) -> None:
    server = start_server(ssl_context=authority.server_context(NAMES[mode]))
    client = balance(_backend(server, mode))

    response = client.get(f"{scheme}://orders/", verify=str(ca_file))

    assert response.status_code == 200
    # An address has no place in SNI.
    assert server.server_names == [None if mode == "backend" else NAMES[mode]]


@SCHEMES
@MODES
def test_a_certificate_for_another_name_is_refused(
    balance: Balance,
    start_server: ServerStarter,
    authority: Authority,
    ca_file: Path,
    *,
    mode: str,
    scheme: str,
) -> None:
    others = [name for name in NAMES.values() if name != NAMES[mode]]
    server = start_server(ssl_context=authority.server_context(*others))
    client = balance(_backend(server, mode))

    with options(retry=False), pytest.raises(requests.exceptions.SSLError) as raised:
        client.get(f"{scheme}://orders/", verify=str(ca_file))

    assert raised.value.request is not None
    assert server.requests == []


@SCHEMES
@MODES
def test_an_authority_that_nobody_trusts_is_refused(
    balance: Balance,
    start_server: ServerStarter,
    authority: Authority,
    *,
    mode: str,
    scheme: str,
) -> None:
    server = start_server(ssl_context=authority.server_context(*NAMES.values()))
    client = balance(_backend(server, mode))

    with options(retry=False), pytest.raises(requests.exceptions.SSLError):
        client.get(f"{scheme}://orders/")

    assert server.requests == []


def test_addresses_stand_behind_the_logical_name_by_default(
    balance: Balance, start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    server = start_server(ssl_context=authority.server_context("orders"))
    client = balance(server.url)

    client.get("https://orders:443/", verify=str(ca_file))

    (request,) = server.requests
    assert (request.server_name, request.headers["Host"]) == ("orders", "orders:443")


def test_an_endpoint_with_a_name_of_its_own_is_called_by_it(
    balance: Balance, start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    server = start_server(ssl_context=authority.server_context("localhost"))
    client = balance(server.url.replace("127.0.0.1", "localhost"))

    client.get("https://orders/", verify=str(ca_file))

    (request,) = server.requests
    host = request.headers["Host"]
    assert (request.server_name, host) == ("localhost", f"localhost:{server.port}")


def test_verify_false_takes_any_certificate_and_taints_no_other_connection(
    balance: Balance, start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(ssl_context=authority.server_context("another"))
    client = balance(server.url)

    with pytest.warns(Warning, match="Unverified HTTPS request"):
        response = client.get("https://orders/", verify=False)

    assert response.status_code == 200
    with options(retry=False), pytest.raises(requests.exceptions.SSLError):
        client.get("https://orders/")
    assert len(server.requests) == 1


def test_two_names_never_share_a_connection(
    balance: Balance, start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    server = start_server(ssl_context=authority.server_context("orders", "users"))
    services = [orders_at(server.url), orders_at(server.url, name="users")]
    client = balance(*services)

    for name in ("orders", "users", "orders", "users"):
        client.get(f"https://{name}/", verify=str(ca_file))

    assert server.server_names == ["orders", "users"]


def test_a_client_certificate_is_shown(
    balance: Balance,
    start_server: ServerStarter,
    authority: Authority,
    ca_file: Path,
    tmp_path: Path,
) -> None:
    context = authority.server_context("orders", require_client_certificate=True)
    server = start_server(ssl_context=context)
    client = balance(server.url)
    certificate = authority.write_client_certificate(tmp_path, "client")

    response = client.get(
        "http://orders/", verify=str(ca_file), cert=(str(certificate), str(certificate))
    )

    assert response.status_code == 200


def test_a_bundle_that_is_not_there_is_the_callers_mistake(
    balance: Balance, start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(ssl_context=authority.server_context("orders"))
    client = balance(server.url)

    with pytest.raises(OSError, match="no/such/bundle"):
        client.get("http://orders/", verify="no/such/bundle")


def test_an_untrusted_backend_gives_way_to_a_trusted_one_whatever_the_method(
    balance: Balance, start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    wrong = start_server(ssl_context=authority.server_context("another"))
    right = start_server(ssl_context=authority.server_context("orders"))
    client = balance(wrong.url, right.url)

    response = client.post("http://orders/", data=b"pay", verify=str(ca_file))

    assert response.status_code == 200
    assert (len(wrong.requests), len(right.requests)) == (0, 1)


def test_https_never_leaves_in_plain_text(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)

    with pytest.raises(requests.ConnectionError, match="plain text"):
        client.get("https://orders/")

    assert server.connections == 0


@pytest.mark.parametrize("where", ["adapter", "service"])
def test_plain_text_can_be_allowed(
    balance: Balance, server: LoopbackServer, where: str
) -> None:
    permit: dict[str, Any] = {"allow_plaintext": True}
    service = orders_at(server.url, **permit if where == "service" else {})
    client = balance(service, **permit if where == "adapter" else {})

    assert client.get("https://orders/").status_code == 200


def test_a_context_that_a_subclass_sets_is_used_for_backends_too(
    start_server: ServerStarter, authority: Authority
) -> None:
    from lbtransport.requests import LoadBalancingAdapter

    server = start_server(reply(), ssl_context=authority.server_context("orders"))

    class Trusting(LoadBalancingAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            context: ssl.SSLContext = authority.client_context()
            super().init_poolmanager(*args, ssl_context=context, **kwargs)

    with requests.Session() as session:
        session.mount("https://", Trusting(orders_at(server.url)))
        response = session.get("https://orders/")

    assert response.status_code == 200
