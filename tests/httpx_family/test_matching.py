"""Which requests are ours, and where the others go."""

from __future__ import annotations

from typing import Any

import pytest

import lbtransport
from lbtransport import LoadBalancer
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, answering, done, orders_at
from tests.servers import LoopbackServer, reply


def told(kind: Kind, text: str) -> Any:
    """Return a transport that answers with `text` and the URL it was asked for."""
    return kind.hx.MockTransport(
        lambda request: kind.hx.Response(200, text=f"{text} {request.url}")
    )


async def who_answers(kind: Kind, services: Any, url: str) -> str:
    """Return "balanced" or "passed", by who gets a request to `url`."""
    factory = answering(kind, lambda _: kind.hx.Response(200, text="balanced"))
    passthrough = told(kind, "passed")
    async with kind.connect(
        services,
        transport_factory=factory,
        passthrough=passthrough,
        allow_plaintext=True,
    ) as client:
        response = await done(client.get(url))
    answer: str = response.text.split()[0]
    return answer


@pytest.mark.parametrize(
    "url",
    [
        "http://orders/",
        "http://ORDERS/",
        "http://orders.",
        "http://orders:80/",
        "http://orders:8080/",
        "https://orders/",
        "https://orders:443/",
        "ws://orders/",
        "wss://orders/",
        "http://user:password@orders/",
        "http://orders?a=b",
    ],
)
async def test_url_of_the_service_is_balanced(kind: Kind, url: str) -> None:
    assert await who_answers(kind, orders_at("http://10.0.0.1"), url) == "balanced"


@pytest.mark.parametrize(
    "url",
    [
        "http://orders-evil/",
        "http://orders.evil/",
        "http://sub.orders/",
        "http://orders@evil/",
        "http://evil/orders",
        "http://evil/?orders",
        "http://order/",
        "http://xorders/",
    ],
)
async def test_url_of_a_stranger_passes_through(kind: Kind, url: str) -> None:
    assert await who_answers(kind, orders_at("http://10.0.0.1"), url) == "passed"


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("orders:8080", "http://orders:8080/", "balanced"),
        ("orders:8080", "https://orders:8080/", "balanced"),
        ("orders:8080", "http://orders/", "passed"),
        ("orders:80", "http://orders/", "balanced"),
        ("orders:80", "https://orders/", "passed"),
        ("orders:443", "wss://orders/", "balanced"),
        ("Orders.", "http://orders/", "balanced"),
        ("[::1]:8080", "http://[::1]:8080/", "balanced"),
    ],
)
async def test_service_with_a_port_has_that_port_alone(
    kind: Kind, name: str, url: str, expected: str
) -> None:
    service = orders_at("http://10.0.0.1", name=name)

    assert await who_answers(kind, service, url) == expected


async def test_each_of_several_services_gets_its_own(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    names = ["orders", "orders:8080", "users"]
    services = [
        orders_at(server.url, name=name)
        for name, server in zip(names, three_servers, strict=True)
    ]

    async with kind.connect(services) as client:
        answers = [
            (await done(client.get(url))).text
            for url in ("http://orders/", "http://orders:8080/", "http://users/")
        ]

    assert answers == ["0", "1", "2"]


async def test_finder_finds_or_passes_through(
    kind: Kind, server: LoopbackServer
) -> None:
    asked: list[tuple[str, str, int]] = []
    orders = orders_at(server.url)

    def find(scheme: str, host: str, port: int) -> LoadBalancer | None:
        asked.append((scheme, host, port))
        return orders if host == "orders" else None

    passthrough = told(kind, "passed")
    async with kind.connect(find, passthrough=passthrough) as client:
        found = await done(client.get("http://orders/"))
        other = await done(client.get("wss://users:8443/"))

    assert found.text == ""
    assert other.text == "passed wss://users:8443/"
    assert asked == [("http", "orders", 80), ("https", "users", 8443)]


async def test_finder_that_makes_nonsense_raises_what_callers_catch(
    kind: Kind,
) -> None:
    def find(scheme: str, host: str, port: int) -> LoadBalancer:
        return LoadBalancer(f"{host}:{port}", ["http://10.0.0.1"])

    async with kind.connect(find) as client:
        with pytest.raises(kind.hx.ConnectError, match="123456") as caught:
            await done(client.get("http://orders:123456/"))

    assert isinstance(caught.value, kind.ours.ConfigurationError)
    assert caught.value.request.url.host == "orders"


async def test_finder_may_call_the_transport(
    kind: Kind, server: LoopbackServer
) -> None:
    # It is called under no lock, so it may do whatever it likes.
    orders = orders_at(server.url)
    found: list[LoadBalancer] = []

    def find(scheme: str, host: str, port: int) -> LoadBalancer:
        if not found:
            found.append(orders)
            with kind.hx.Client(
                transport=kind.ours.LoadBalancingTransport(find, verify=False)
            ) as client:
                client.get("http://orders/inner")
        return orders

    async with kind.connect(find) as client:
        await done(client.get("http://orders/outer"))

    assert [request.target for request in server.requests] == ["/inner", "/outer"]


@pytest.mark.parametrize("services", [5, [5], "orders"])
async def test_what_is_no_service_is_refused(kind: Kind, services: Any) -> None:
    with pytest.raises(lbtransport.ConfigurationError, match="LoadBalancer"):
        kind.transport(services)


async def test_mounted_beside_other_transports(
    kind: Kind, server: LoopbackServer
) -> None:
    server.handler = reply(body=b"balanced")
    mounts = {"all://orders": kind.transport(orders_at(server.url))}

    client = kind.client(mounts=mounts, transport=told(kind, "other"))
    try:
        ours = await done(client.get("http://orders/"))
        other = await done(client.get("http://elsewhere/"))
    finally:
        await kind.close(client)

    assert (ours.text, other.text) == ("balanced", "other http://elsewhere/")


async def test_same_transport_may_be_mounted_and_be_the_clients_own(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))
    client = kind.client(transport=transport, mounts={"http://orders": transport})

    await (client.__aenter__() if kind.is_async else done(client.__enter__()))
    response = await done(client.get("http://orders/"))
    await kind.close(client)

    assert response.status_code == 200
    server.wait_until(lambda server: not server.open_connections)


async def test_pass_through_reaches_real_servers(
    kind: Kind, start_server: ServerStarter
) -> None:
    mine, other = start_server(), start_server(reply(body=b"other"))

    async with kind.connect(orders_at(mine.url)) as client:
        response = await done(client.get(f"{other.url}/path?a=b"))

    assert response.text == "other"
    (request,) = other.requests
    assert (request.target, request.headers["Host"]) == ("/path?a=b", other.authority)


async def test_pass_through_keeps_its_connections(
    kind: Kind, start_server: ServerStarter
) -> None:
    other = start_server()

    async with kind.connect(orders_at("http://10.0.0.1")) as client:
        for _ in range(3):
            await done(client.get(other.url))

    assert other.connections == 1


@pytest.mark.parametrize(
    ("variables", "trust_env", "by_proxy"),
    [
        ({"HTTP_PROXY": "proxy"}, True, True),
        ({"ALL_PROXY": "proxy"}, True, True),
        ({"HTTP_PROXY": "proxy", "NO_PROXY": "127.0.0.1"}, True, False),
        ({"HTTP_PROXY": "proxy"}, False, False),
        ({}, True, False),
    ],
)
async def test_pass_through_uses_proxies_as_the_client_would(
    kind: Kind,
    start_server: ServerStarter,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    *,
    trust_env: bool,
    by_proxy: bool,
) -> None:
    proxy, other = start_server(reply(body=b"proxy")), start_server()
    for name, value in variables.items():
        monkeypatch.setenv(name, proxy.url if value == "proxy" else value)

    orders = orders_at("http://10.0.0.1")
    async with kind.connect(orders, trust_env=trust_env) as client:
        await done(client.get(f"{other.url}/path"))

    through = [request.target for request in proxy.requests]
    direct = [request.target for request in other.requests]
    expected = ([f"{other.url}/path"], []) if by_proxy else ([], ["/path"])
    assert (through, direct) == expected


async def test_balanced_requests_use_no_proxy(
    kind: Kind, start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = start_server(), start_server()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)

    async with kind.connect(orders_at(server.url)) as client:
        await done(client.get("http://orders/"))

    assert (len(proxy.requests), len(server.requests)) == (0, 1)


async def test_own_pass_through_gets_the_callers_own_request(kind: Kind) -> None:
    got: list[Any] = []

    def answer(request: Any) -> Any:
        got.append(request)
        return kind.hx.Response(200)

    passthrough = kind.hx.MockTransport(answer)
    orders = orders_at("http://10.0.0.1")
    async with kind.connect(orders, passthrough=passthrough) as client:
        request = client.build_request("GET", "http://elsewhere/")
        await done(client.send(request))

    assert got == [request]


async def test_unsupported_scheme_is_the_clients_own_error(kind: Kind) -> None:
    async with kind.connect(orders_at("http://10.0.0.1")) as client:
        with pytest.raises(kind.hx.UnsupportedProtocol):
            await done(client.get("ftp://orders/"))


async def test_services_of_the_environment_need_no_argument(
    kind: Kind, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"shop{server.port}"  # such balancers live as long as the process
    monkeypatch.setenv("LBTRANSPORT_SERVICES", name)
    monkeypatch.setenv(f"LBTRANSPORT_{name.upper()}_BACKENDS", server.url)

    async with kind.connect(None) as client:
        await done(client.get(f"http://{name}/items"))

    assert [request.headers["Host"] for request in server.requests] == [name]
    (balancer,) = kind.transport().balancers
    assert [entry.total for entry in balancer.stats().backends] == [1]


async def test_balancers_are_those_known_by_name(kind: Kind) -> None:
    orders, users = orders_at("http://10.0.0.1"), LoadBalancer("users")

    assert kind.transport([orders, users]).balancers == (orders, users)
    assert kind.transport(lambda scheme, host, port: orders).balancers == ()


async def test_switched_off_all_passes_through(kind: Kind) -> None:
    from lbtransport._services import bypass

    with bypass():
        answer = await who_answers(kind, orders_at("http://10.0.0.1"), "http://orders/")

    assert answer == "passed"
