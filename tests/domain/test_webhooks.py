"""To whom events may go, when an attempt is repeated, how requests are signed, and what they say."""

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.errors import Refusal
from muster.domain.event_bodies import WRITERS, OutgoingEvent
from muster.domain.events import EventType, MessageTopic
from muster.domain.webhooks import (
    FAILURES_BEFORE_PROBING,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_PROBE_PAUSE,
    MAXIMUM_URL_CHARACTERS,
    Address,
    BodyFormat,
    is_public,
    pause_after,
    probe_after,
    read_address,
    read_event_types,
    read_name,
    read_secret,
    signature_header,
)
from muster.protocol.identifiers import ChannelId

AT = datetime(2026, 11, 22, 14, 31, 7, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "address", "host_header"),
    [
        ("https://siem.example/in?a=b", Address(True, "siem.example", 443, "/in?a=b"), "siem.example"),
        ("https://SIEM.example", Address(True, "siem.example", 443, "/"), "siem.example"),
        ("https://siem.example?x", Address(True, "siem.example", 443, "/?x"), "siem.example"),
        ("https://siem.example:8443/", Address(True, "siem.example", 8443, "/"), "siem.example:8443"),
        ("https://[2001:db8::1]:8443/", Address(True, "2001:db8::1", 8443, "/"), "[2001:db8::1]:8443"),
    ],
)
def test_url_is_read(url: str, address: Address, host_header: str) -> None:
    assert read_address(url) == address
    assert address.host_header == host_header


@pytest.mark.parametrize(
    "url",
    [
        "",
        "siem.example",
        "ftp://siem.example/",
        "http://siem.example/",
        "https:///in",
        "https://me:secret@siem.example/",
        "https://siem.example@127.0.0.1/",
        "https://siem.example\\@127.0.0.1/",
        "https://siem.example/in#there",
        "https://siem.example/a b",
        "https://siem.example/\r\nX: y",
        "https://siem.example:0/",
        "https://siem.example:65536/",
        "https://siem.exämple/",
        "https://-siem.example/",
        "https://siem.example/" + "a" * MAXIMUM_URL_CHARACTERS,
    ],
)
def test_url_that_is_none_of_ours_is_refused(url: str) -> None:
    assert isinstance(read_address(url), Refusal)


def test_plain_http_has_to_be_allowed() -> None:
    assert read_address("http://siem.example/", allows_plain=True) == Address(False, "siem.example", 80, "/")


@given(st.text(max_size=60))
def test_whatever_stands_in_a_url_no_line_of_a_request_is_broken(tail: str) -> None:
    read = read_address(f"https://siem.example/{tail}")

    if isinstance(read, Address):
        assert not set(read.target) & set(" \r\n\t\0")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("192.0.0.192", False),  # where a cloud has its metadata
        ("192.88.99.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("3fff::1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("198.51.100.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("2001:0:53aa:64c:0:0:0:0", False),
        ("2001:db8::1", False),
        ("localhost", False),
    ],
)
def test_address_is_public_or_is_of_a_network_that_we_are_in(address: str, expected: bool) -> None:
    assert is_public(address) is expected


def test_pauses_double_up_to_an_hour_and_never_shrink_below_half() -> None:
    longest = [pause_after(attempts, 1.0) for attempts in (1, 2, 3, 4, 100)]
    shortest = [pause_after(attempts, 0.0) for attempts in (1, 100)]

    assert longest == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE, LONGEST_PAUSE]
    assert shortest == [FIRST_PAUSE / 2, LONGEST_PAUSE / 2]


def test_receiver_that_fails_is_probed_from_the_third_failure_on() -> None:
    pauses = [probe_after(failures) for failures in (FAILURES_BEFORE_PROBING - 1, FAILURES_BEFORE_PROBING, 1000)]

    assert pauses == [None, timedelta(seconds=10), LONGEST_PROBE_PAUSE]


def test_signature_is_over_seconds_and_body_for_each_secret() -> None:
    header = signature_header(["one", "two"], AT, b'{"a":1}')

    assert header == (
        "t=1795357867"
        ",v1=8c9817d812d3f9524e7a2b21b1476d3754998d49173f5a5fc41a5cef203f6a78"
        ",v1=050bfd3e041ce44201c5fc6d017d50d289e85a91f7a28af55becd5c373e6173a"
    )


@pytest.mark.witness("openssl")
def test_openssl_makes_the_same_signature() -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    body = '{"was":"nicht gehört"}'.encode()

    header = signature_header(["s3cret-_"], AT, body)

    said = subprocess.run(
        [openssl, "dgst", "-sha256", "-hmac", "s3cret-_", "-r"],
        input=b"1795357867." + body,
        capture_output=True,
        check=True,
    )
    assert header == f"t=1795357867,v1={said.stdout.split()[0].decode()}"


def test_events_are_named_or_meant_by_their_beginning() -> None:
    control = {one for one in EventType if one.value.startswith("control.")}

    assert read_event_types([]) == ()
    assert read_event_types(["device.enrolled", "device.enrolled"]) == (EventType.DEVICE_ENROLLED,)
    meant = read_event_types(["control.*"])
    assert not isinstance(meant, Refusal)
    assert set(meant) == control
    assert isinstance(read_event_types(["control"]), Refusal)
    assert isinstance(read_event_types(["nothing.*"]), Refusal)


@pytest.mark.parametrize("name", ["", "a b", "Ä", "-a", "a" * 65, "../x"])
def test_name_is_short_and_plain(name: str) -> None:
    assert isinstance(read_name(name), Refusal)
    assert read_name("siem-2.example_x") == "siem-2.example_x"


SOURCE = "urn:uuid:5c6a3f0e-0000-7000-8000-000000000001"
EVENT = OutgoingEvent("e1", "device.enrolled", ChannelId("A"), AT, 7, {"epoch": 1, "é": None, "ok": True})


def test_body_is_compact_json_in_a_fixed_order() -> None:
    body = WRITERS[BodyFormat.MUSTER](EVENT, SOURCE)

    assert body.content_type == "application/json"
    assert body.content.decode() == (
        '{"id":"e1","type":"device.enrolled","at":"2026-11-22T14:31:07.250Z","sequence":7,"channel_id":"A",'
        '"data":{"epoch":1,"é":null,"ok":true}}'
    )
    assert body.headers == (("Muster-Event-Id", "e1"), ("Muster-Event-Type", "device.enrolled"))


def test_event_of_no_channel_says_so() -> None:
    body = WRITERS[BodyFormat.MUSTER](replace(EVENT, channel_id=ChannelId("")), SOURCE)

    assert json.loads(body.content)["channel_id"] is None


def test_cloudevent_is_whole() -> None:
    body = WRITERS[BodyFormat.CLOUDEVENTS](EVENT, SOURCE)

    assert body.content_type == "application/cloudevents+json; charset=utf-8"
    assert body.content.decode() == (
        f'{{"specversion":"1.0","id":"e1","source":"{SOURCE}","type":"muster.device.enrolled",'
        '"time":"2026-11-22T14:31:07.250Z","sequence":"0000000000000000007","datacontenttype":"application/json",'
        '"data":{"epoch":1,"é":null,"ok":true},"subject":"A"}'
    )


def test_cloudevent_of_no_channel_has_no_subject() -> None:
    body = WRITERS[BodyFormat.CLOUDEVENTS](replace(EVENT, channel_id=ChannelId("")), SOURCE)

    assert "subject" not in json.loads(body.content)


def test_messages_of_devices_are_told_in_the_format_of_micromdm_alone() -> None:
    messages = read_event_types([], BodyFormat.MICROMDM)

    assert messages == tuple(MessageTopic)
    assert read_event_types(["mdm.Connect"], BodyFormat.MICROMDM) == (MessageTopic.CONNECT,)
    assert isinstance(read_event_types(["mdm.Connect"]), Refusal)
    assert isinstance(read_event_types(["device.enrolled"], BodyFormat.MICROMDM), Refusal)


@pytest.mark.parametrize("secret", ["short", " a blank before it", "a line\nand another", "ü" * 20, "x" * 257])
def test_secret_that_is_brought_along_is_ascii_of_bounded_length(secret: str) -> None:
    assert isinstance(read_secret(secret), Refusal)
    assert read_secret("a/good+secret==") == "a/good+secret=="


def test_every_format_has_a_writer() -> None:
    assert set(WRITERS) == set(BodyFormat)
