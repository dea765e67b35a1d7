"""Where a request comes from, through trusted proxies and past them."""

import asyncio
import pickle
from collections.abc import Sequence

import pytest

from muster.bootstrap.peers import MAXIMUM_HOPS, BehindProxies
from muster.edges.device.http import Receive, Scope, Send
from muster.edges.device.presented import PROXY

PROXIES = ("127.0.0.1", "10.1.0.0/16", "2001:db8::/32")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Note who asks."""
    await send(scope)


def seen(
    peer: str, forwarded: Sequence[str] = (), proto: str | None = None, *, through: BehindProxies | None = None
) -> Scope:
    """What the application sees of a request."""
    noted: list[Scope] = []
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    scope: Scope = {"type": "http", "client": (peer, 4000), "scheme": "http", "headers": headers}

    async def receive() -> Scope:
        return {"type": "http.disconnect"}

    async def send(message: Scope) -> None:
        noted.append(message)

    asyncio.run((through or BehindProxies(application, PROXIES))(scope, receive, send))
    return noted[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.255.255", ["203.0.113.9:4711"], "203.0.113.9"),
        ("2001:db8::1", ["[2001:db9::7]:4711"], "2001:db9::7"),
        ("2001:db8::1", ["2001:db9::7"], "2001:db9::7"),
        ("::ffff:127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        # several proxies: the nearest that is none of them
        ("127.0.0.1", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        # what the client itself wrote stands further left
        ("127.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["10.1.9.9, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        # nothing to go by
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, nonsense, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["x" * 10_000], "127.0.0.1"),
        ("127.0.0.1", ["10.1.1.1, 10.1.2.3"], "10.1.1.1"),
    ],
)
def test_source_is_the_nearest_address_that_is_no_proxys(peer: str, forwarded: list[str], source: str) -> None:
    scope = seen(peer, forwarded)

    assert scope["client"][0] == source
    assert scope["extensions"][PROXY] == peer


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.2.0.1", "2001:db9::1", "", "not-an-address"])
def test_strangers_are_believed_nothing(peer: str) -> None:
    scope = seen(peer, ["198.51.100.1"], "https")

    assert (scope["client"], scope["scheme"]) == ((peer, 4000), "http")
    assert "extensions" not in scope


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https", "https"), (" HTTPS ", "https"), ("http", "http"), ("gopher", "http"), (None, "http")],
)
def test_scheme_is_the_one_the_proxy_was_asked_by(proto: str | None, scheme: str) -> None:
    assert seen("127.0.0.1", ["203.0.113.9"], proto)["scheme"] == scheme


def test_only_so_many_hops_are_looked_at() -> None:
    hops = ["203.0.113.9"] + ["10.1.2.3"] * MAXIMUM_HOPS

    assert seen("127.0.0.1", [", ".join(hops[1:])])["client"][0] == "10.1.2.3"
    assert seen("127.0.0.1", [", ".join(hops)])["client"][0] == "10.1.2.3"
    assert seen("127.0.0.1", [", ".join(hops[:-1])])["client"][0] == "203.0.113.9"


def test_it_travels_to_a_worker_process() -> None:
    copy = pickle.loads(pickle.dumps(BehindProxies(application, PROXIES)))

    assert seen("10.1.2.3", ["203.0.113.9"], through=copy)["client"][0] == "203.0.113.9"
