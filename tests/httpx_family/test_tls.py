"""Names and certificates: who is asked for, who is believed, and what is refused."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lbtransport
from lbtransport import Backend, LoadBalancer
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at
from tests.servers import LoopbackServer

TlsStarter = Callable[..., LoopbackServer]


@pytest.fixture
def start_tls(start_server: ServerStarter, authority: Authority) -> TlsStarter:
    """Start servers whose certificates are for the names given."""
    return lambda *names, **kwargs: start_server(
        ssl_context=authority.server_context(*names, **kwargs)
    )


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    """Give what trusts the tests' authority alone."""
    return authority.client_context()


def named(server: LoopbackServer) -> str:
    """Return a server's URL, by the name that DNS knows for its address."""
    return server.url.replace("127.0.0.1", "localhost")


def is_about_the_certificate(error: BaseException | None) -> bool:
    """Tell whether a certificate is at the bottom of an error, as under trio."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def test_backend_by_address_is_called_by_the_logical_name(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
) -> None:
    server = start_tls("orders")

    async with kind.connect(orders_at(server.url), verify=trust) as client:
        await done(client.get("https://orders/items"))

    assert server.server_names == ["orders"]
    assert [request.headers["Host"] for request in server.requests] == ["orders"]


async def test_backend_by_dns_name_is_called_by_its_own_name(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
) -> None:
    server = start_tls("localhost")

    async with kind.connect(orders_at(named(server)), verify=trust) as client:
        await done(client.get("https://orders/items"))

    host = f"localhost:{server.port}"
    assert server.server_names == ["localhost"]
    assert [request.headers["Host"] for request in server.requests] == [host]


@pytest.mark.parametrize(
    ("mode", "certified"),
    [
        ("logical", "orders"),
        ("backend", "127.0.0.1"),
        ("shop.example", "shop.example"),
    ],
)
async def test_tls_name_is_what_the_certificate_must_carry(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
    mode: str,
    certified: str,
) -> None:
    server = start_tls(certified)
    orders = orders_at(Backend(server.url, tls_name=mode))

    async with kind.connect(orders, verify=trust) as client:
        await done(client.get("https://orders/items"))

    # There is no SNI for an address.
    assert server.server_names == [None if mode == "backend" else certified]


@pytest.mark.parametrize("mode", ["logical", "backend", "shop.example"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_wrong_certificate_is_refused_in_every_mode(
    kind: Kind, start_tls: TlsStarter, trust: ssl.SSLContext, mode: str, scheme: str
) -> None:
    server = start_tls("evil.example")
    orders = orders_at(Backend(server.url, tls_name=mode))

    async with kind.connect(orders, verify=trust) as client:
        with pytest.raises(kind.hx.ConnectError) as caught:
            await done(client.get(f"{scheme}://orders/items"))

    assert is_about_the_certificate(caught.value)
    assert server.requests == []


async def test_unknown_authority_is_refused(kind: Kind, start_tls: TlsStarter) -> None:
    server = start_tls("orders")

    # No `verify`: what the client itself trusts.
    async with kind.connect(orders_at(server.url), verify=True) as client:
        with pytest.raises(kind.hx.ConnectError) as caught:
            await done(client.get("https://orders/items"))

    assert is_about_the_certificate(caught.value)
    assert server.requests == []


async def test_logical_http_over_an_https_backend_is_verified(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
) -> None:
    server = start_tls("orders")

    async with kind.connect(orders_at(server.url), verify=trust) as client:
        response = await done(client.get("http://orders/items"))

    assert response.status_code == 200
    assert server.server_names == ["orders"]


async def test_wrong_certificate_sends_a_post_to_another_backend(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
) -> None:
    wrong = start_tls("evil.example")
    right = start_tls("orders")
    orders = orders_at(wrong.url, right.url)

    async with kind.connect(orders, verify=trust) as client:
        await done(client.post("https://orders/items", content=b"x"))

    assert (len(wrong.requests), len(right.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("mode", "sent"),
    [("logical", "orders"), ("backend", None), ("shop.example", "shop.example")],
)
async def test_host_header_is_one_of_three_names(
    kind: Kind, server: LoopbackServer, mode: str, sent: str | None
) -> None:
    orders = orders_at(Backend(server.url, host=mode))

    async with kind.connect(orders) as client:
        await done(client.get("http://orders/items"))

    expected = sent or server.authority
    assert [request.headers["Host"] for request in server.requests] == [expected]


async def test_service_names_the_modes_of_backends_that_do_not(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
) -> None:
    server = start_tls("tls.example")
    orders = orders_at(server.url, host="host.example", tls_name="tls.example")

    async with kind.connect(orders, verify=trust) as client:
        await done(client.get("https://orders/items"))

    assert server.server_names == ["tls.example"]
    assert server.requests[0].headers["Host"] == "host.example"


async def test_host_header_of_the_caller_is_kept(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(Backend(server.url, host="backend"))

    async with kind.connect(orders) as client:
        await done(client.get("http://orders/", headers={"Host": "mine.example"}))

    assert server.requests[0].headers.get_all("Host") == ["mine.example"]


async def test_plaintext_downgrade_is_refused_and_sends_nothing(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        request = client.build_request("GET", "https://orders/items")
        with pytest.raises(lbtransport.ConfigurationError, match="plain") as caught:
            await done(client.send(request))

    assert isinstance(caught.value, kind.hx.ConnectError)
    assert caught.value.request is request
    assert server.connections == 0
    assert orders.stats().backends[0].failures == 0


@pytest.mark.parametrize("where", ["transport", "service"])
async def test_plaintext_downgrade_can_be_allowed(
    kind: Kind, server: LoopbackServer, where: str
) -> None:
    orders = orders_at(server.url, allow_plaintext=where == "service")

    async with kind.connect(orders, allow_plaintext=where == "transport") as client:
        response = await done(client.get("https://orders/items"))

    assert response.status_code == 200


async def test_two_tls_names_on_one_backend_never_share_a_connection(
    kind: Kind,
    start_tls: TlsStarter,
    trust: ssl.SSLContext,
) -> None:
    server = start_tls("orders")
    bank = orders_at(server.url, name="bank", retry=False)
    services = [orders_at(server.url), bank]

    async with kind.connect(services, verify=trust) as client:
        await done(client.get("https://orders/items"))
        with pytest.raises(kind.hx.ConnectError) as caught:
            await done(client.get("https://bank/items"))

    assert is_about_the_certificate(caught.value)
    assert len(server.requests) == 1
    assert server.server_names == ["orders", "bank"]


async def test_new_service_of_the_same_name_has_its_own_names(
    kind: Kind, server: LoopbackServer
) -> None:
    # A finder that makes the balancer anew, out of the same backends.
    backend = Backend(server.url)
    current = [LoadBalancer("orders", [backend], host="first.example")]

    async with kind.connect(lambda *_: current[0]) as client:
        await done(client.get("http://orders/items"))
        current[0] = LoadBalancer("orders", [backend], host="second.example")
        await done(client.get("http://orders/items"))

    hosts = [request.headers["Host"] for request in server.requests]
    assert hosts == ["first.example", "second.example"]


@pytest.mark.filterwarnings("ignore:.*cert=.*:DeprecationWarning")
async def test_client_certificate_is_shown(
    kind: Kind, start_server: ServerStarter, authority: Authority, tmp_path: Path
) -> None:
    context = authority.server_context("orders", require_client_certificate=True)
    server = start_server(ssl_context=context)
    certificate = authority.write_client_certificate(tmp_path, "caller")
    trust = authority.client_context()

    async with kind.connect(
        orders_at(server.url), verify=trust, cert=str(certificate)
    ) as client:
        await done(client.get("https://orders/items"))

    assert len(server.requests) == 1


async def test_verify_false_believes_everybody(
    kind: Kind, start_tls: TlsStarter
) -> None:
    server = start_tls("evil.example")

    async with kind.connect(orders_at(server.url), verify=False) as client:
        await done(client.get("https://orders/items"))

    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore:.*verify=<str>.*:DeprecationWarning")
async def test_verify_may_be_a_file(
    kind: Kind, start_tls: TlsStarter, ca_file: Path
) -> None:
    server = start_tls("orders")

    async with kind.connect(orders_at(server.url), verify=str(ca_file)) as client:
        await done(client.get("https://orders/items"))

    assert len(server.requests) == 1


async def test_all_backends_and_the_pass_through_share_one_context(
    kind: Kind, start_tls: TlsStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = [start_tls("orders", "localhost") for _ in range(3)]
    orders = LoadBalancer("orders", [s.url for s in servers], strategy="round_robin")
    made = []
    make: Any = ssl.SSLContext.__new__

    def count(*args: Any) -> Any:
        made.append(args)
        return make(*args)

    monkeypatch.setattr(ssl.SSLContext, "__new__", count)
    async with kind.connect(orders, verify=False) as client:
        for _ in range(6):
            await done(client.get("https://orders/items"))
        await done(client.get(f"https://localhost:{servers[0].port}/items"))

    assert [len(server.requests) for server in servers] == [3, 2, 2]
    assert len(made) == 1


@pytest.mark.parametrize("http2", [True, False])
async def test_http2_is_offered_where_it_is_wanted(
    kind: Kind, start_server: ServerStarter, authority: Authority, http2: bool
) -> None:
    context = authority.server_context("orders")
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = start_server(ssl_context=context)
    chosen: list[str] = []

    def note(name: str, info: Any) -> None:
        if name == "connection.start_tls.complete":
            secure = info["return_value"].get_extra_info("ssl_object")
            chosen.append(secure.selected_alpn_protocol())

    async def note_async(name: str, info: Any) -> None:
        note(name, info)

    async with kind.connect(
        orders_at(server.url, retry=False),
        verify=authority.client_context(),
        http2=http2,
    ) as client:
        trace = {"trace": note_async if kind.is_async else note}
        # The server claims HTTP/2, and cannot speak it.
        with contextlib.suppress(kind.hx.TransportError):
            await done(client.get("https://orders/items", extensions=trace))

    assert chosen == ["h2" if http2 else "http/1.1"]
