"""CONNECT, and what proxies are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.apns.tunnel import MAX_REPLY_BYTES, Proxy, Tunnel, TunnelRefused, read_proxy


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example/", Proxy("proxy.example", 80)),
        ("http://[2001:db8::1]:3128", Proxy("2001:db8::1", 3128)),
        ("http://ada:s3%40cret@proxy.example:1", Proxy("proxy.example", 1, "Basic YWRhOnMzQGNyZXQ=")),
    ],
)
def test_proxy_is_read(url: str, proxy: Proxy) -> None:
    assert read_proxy(url) == proxy


@pytest.mark.parametrize(
    "url", ["https://ada:s3cret@proxy.example", "socks5://proxy", "http://", "http://proxy:x", "http://proxy/path", ""]
)
def test_other_proxies_are_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="must be http://") as refused:
        read_proxy(url)

    assert "s3cret" not in str(refused.value)


def test_password_stays_out_of_repr() -> None:
    assert "Basic" not in repr(read_proxy("http://ada:s3cret@proxy.example"))


def test_connect_names_the_target_and_shows_the_password() -> None:
    tunnel = Tunnel(Proxy("proxy.example", 80, "Basic eA=="), "2001:db8::2", 443)

    assert tunnel.request() == (
        b"CONNECT [2001:db8::2]:443 HTTP/1.1\r\nHost: [2001:db8::2]:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
    )


@given(st.integers(0, 60))
def test_what_follows_the_reply_is_the_tunnels(cut: int) -> None:
    tunnel = Tunnel(Proxy("proxy.example", 80), "push.test", 443)
    reply = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n\x16\x03"

    first = tunnel.receive(reply[:cut])
    rest = first if first is not None else tunnel.receive(reply[cut:])

    assert rest is not None
    assert b"\x16\x03".startswith(rest)


@pytest.mark.parametrize(
    ("reply", "words", "is_final"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication Required", True),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden", True),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "502 Bad Gateway", False),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP/1", True),
        (b"HTTP/1.1\r\n\r\n", "does not speak HTTP/1", True),
        (b"x" * (MAX_REPLY_BYTES + 1), "does not end", True),
    ],
)
def test_refusal_says_whether_it_lasts(reply: bytes, words: str, is_final: bool) -> None:
    with pytest.raises(TunnelRefused, match=words) as refused:
        Tunnel(Proxy("proxy.example", 80), "push.test", 443).receive(reply)

    assert refused.value.is_final is is_final
