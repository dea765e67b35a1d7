"""MicroMDM's database file is read: Bolt's pages, the messages in them, and what they say of devices."""

import contextlib
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.apns_pki import push_certificate
from tests.support.bolt_files import PAGE, BoltWriter, message, meta_page, micromdm_file

from muster.domain.adoption import AdoptionOrder, PushCertificateElsewhere, Unfit
from muster.protocol.checkin import Authenticate, TokenUpdate, decode_checkin
from muster.storage.other_servers.bolt import BoltFile
from muster.storage.other_servers.errors import Unreadable
from muster.storage.other_servers.micromdm import MicromdmFile
from muster.storage.other_servers.protobuf import read_message

TOPIC = "com.apple.mgmt.External.test"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SEEN = datetime(2026, 11, 20, 8, tzinfo=UTC)
Fields = dict[int, int | bytes | str]
DEVICE: Fields = {
    1: "uuid-000",
    2: "UDID-1",
    3: "C02XK1",
    4: "15.5",
    5: "24F74",
    6: "Mac14,2",
    12: b"unlock".hex(),
    13: 1,
    15: "Ada's Mac",
    16: "Mac14,2",
    28: int(SEEN.timestamp()) * 10**9,
    30: b"\x00bootstrap",
}
PUSH: Fields = {1: "UDID-1", 2: (b"t" * 32).hex(), 3: "magic", 4: TOPIC}


def read(data: bytes) -> list[AdoptionOrder | Unfit]:
    return list(MicromdmFile(data, NOW).devices())


def test_device_is_put_together_from_what_is_kept() -> None:
    [found] = read(micromdm_file([DEVICE], {"UDID-1": PUSH}, {"UDID-1": b"h" * 32}))

    assert isinstance(found, AdoptionOrder)
    said, update = decode_checkin(found.authenticate), decode_checkin(found.token_update)
    assert isinstance(said, Authenticate)
    assert isinstance(update, TokenUpdate)
    assert (said.channel.id, said.serial_number, said.os_version, said.device_name) == (
        "UDID-1",
        "C02XK1",
        "15.5",
        "Ada's Mac",
    )
    assert (update.topic, update.token, update.push_magic, update.unlock_token) == (
        TOPIC,
        b"t" * 32,
        "magic",
        b"unlock",
    )
    assert (found.certificate_der, found.awaited, found.bootstrap_token) == (None, b"h" * 32, b"\x00bootstrap")
    assert (found.authenticated_at, found.users, found.queue) == (SEEN, (), ())


def test_name_with_control_characters_keeps_no_device_back() -> None:
    odd: Fields = {**DEVICE, 15: "Ada\x07\x00Mac"}

    [order] = read(micromdm_file([odd], {"UDID-1": PUSH}, {}))

    assert isinstance(order, AdoptionOrder)
    said = decode_checkin(order.authenticate)
    assert isinstance(said, Authenticate)
    assert said.device_name == "Ada\ufffd\ufffdMac"


def test_who_is_not_enrolled_stays_behind_and_who_never_was_is_nobody() -> None:
    gone: Fields = {**DEVICE, 2: "GONE", 13: 0}
    without_token: Fields = {**DEVICE, 2: "STARTED"}
    only_listed: Fields = {1: "uuid-003", 3: "C02XK9"}

    found = read(micromdm_file([gone, without_token, only_listed], {}, {}))

    assert [one.device_id for one in found if isinstance(one, Unfit)] == ["GONE", "STARTED"]
    assert len(found) == 2


def test_push_certificate_is_read() -> None:
    made = push_certificate(TOPIC)
    data = micromdm_file([DEVICE], {}, {}, (made.certificate_pem, made.key_pem))

    assert MicromdmFile(data, NOW).push_certificates() == [
        PushCertificateElsewhere(TOPIC, made.certificate_pem, made.key_pem)
    ]


def test_many_devices_stand_on_many_pages() -> None:
    devices: list[Fields] = [{**DEVICE, 2: f"UDID-{number}", 15: "x" * 3000} for number in range(20)]
    pushes: dict[str, Fields] = {f"UDID-{number}": {**PUSH, 1: f"UDID-{number}"} for number in range(20)}

    found = read(micromdm_file(devices, pushes, {}))

    assert len([one for one in found if isinstance(one, AdoptionOrder)]) == 20


def test_another_file_is_told_apart() -> None:
    for data in (b"", b"x" * 3 * PAGE, BoltWriter().file({"another": [(b"a", b"b")]})):
        with pytest.raises(Unreadable):
            MicromdmFile(data, NOW)


# --- Bolt's pages ---------------------------------------------------------------------------------------------------

ENTRIES = [(f"key {number}".encode(), f"value {number}".encode() * 10) for number in range(10)]


@pytest.mark.parametrize("inline", [frozenset(), frozenset({"one"})])
def test_bucket_is_read_in_the_order_of_its_keys(inline: frozenset[str]) -> None:
    data = BoltWriter().file({"one": ENTRIES, "two": [(b"a", b"b")], "none": []}, inline=inline)
    found = BoltFile(data)

    assert list(found.bucket("one")) == sorted(ENTRIES)
    assert list(found.bucket("two")) == [(b"a", b"b")]
    assert list(found.bucket("none")) == list(found.bucket("absent")) == []


def test_newer_sound_meta_counts_as_after_a_crash() -> None:
    data = BoltWriter().file({"one": ENTRIES})
    [root] = struct.unpack_from("<Q", data, 32)
    torn = meta_page(0, 2, 9, is_sound=False) + meta_page(1, root, 8) + data[2 * PAGE :]

    assert list(BoltFile(torn).bucket("one")) == sorted(ENTRIES)


def test_file_that_is_cut_off_is_refused() -> None:
    data = BoltWriter().file({"one": [(b"key", b"x" * 3 * PAGE)]})

    with pytest.raises(Unreadable):
        list(BoltFile(data[: 4 * PAGE]).bucket("one"))


def test_pages_in_a_circle_are_noticed() -> None:
    data = bytearray(BoltWriter(1).file({"one": ENTRIES[:2]}))
    branch_at = next(at for at in range(3 * PAGE, len(data), PAGE) if data[at + 8] == 0x01)
    struct.pack_into("<Q", data, branch_at + 16 + 8, branch_at // PAGE)

    with pytest.raises(Unreadable, match="circle"):
        list(BoltFile(bytes(data)).bucket("one"))


WHOLE = micromdm_file([DEVICE], {"UDID-1": PUSH}, {"UDID-1": b"h" * 32})


@settings(max_examples=100, deadline=None)
@given(at=st.integers(2 * PAGE, len(WHOLE) - 1), octets=st.binary(min_size=1, max_size=8))
def test_damaged_file_is_read_or_refused(at: int, octets: bytes) -> None:
    damaged = WHOLE[:at] + octets + WHOLE[at + len(octets) :]

    try:
        found = read(damaged)
    except Unreadable:
        return
    assert all(isinstance(one, AdoptionOrder | Unfit) for one in found)


# --- messages -------------------------------------------------------------------------------------------------------


def test_fields_are_read_by_their_numbers() -> None:
    fixed = b"\x41" + b"8" * 8 + b"\x4d" + b"4" * 4  # fields 8 and 9, of eight and four octets

    assert read_message(message({1: "text", 2: 300, 30: b"\xff"}) + fixed) == {
        1: b"text",
        2: 300,
        30: b"\xff",
        8: b"8" * 8,
        9: b"4" * 4,
    }


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x80" * 11, b"\x08"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_message(data)


@given(data=st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        read_message(data)
