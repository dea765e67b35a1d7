"""Reports beside those which tests/wire proves: malformed neighbours, the dispatch rule, and noise."""

import contextlib
import plistlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.connect import (
    MAX_ERRORS,
    ErrorItem,
    Report,
    ReportHead,
    Status,
    decode_report,
    encode_report,
    looks_like_checkin,
    read_report,
    read_report_head,
)
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import CommandUUID, Identifiers, resolve_channel
from muster.protocol.plist import MAX_PLIST_BYTES, PlistValue, write_plist

IPAD = Identifiers(udid="00008030-001C2D8A3E90802E")


def body(**changes: PlistValue | None) -> bytes:
    """A valid report, with these keys changed; None takes a key away."""
    keys: dict[str, PlistValue | None] = {"Status": "Acknowledged", "CommandUUID": "C", "UDID": IPAD.udid, **changes}
    return write_plist({key: value for key, value in keys.items() if value is not None})


@pytest.mark.parametrize("status", Status)
def test_defined_status_is_known(status: Status) -> None:
    head = read_report_head(body(Status=status.value))

    assert head.status is status
    assert head.status_text == status.value


@pytest.mark.parametrize("text", ["Deferred", "idle", "IDLE"])
def test_undefined_status_is_kept_as_text(text: str) -> None:
    head = read_report_head(body(Status=text))

    assert head.status is None
    assert head.status_text == text


@pytest.mark.parametrize("uuid", [None, ""])
@pytest.mark.parametrize("status", Status)
def test_report_without_command_uuid_is_read(status: Status, uuid: str | None) -> None:
    assert read_report_head(body(Status=status.value, CommandUUID=uuid)).command_uuid is None


def test_what_can_be_read_of_a_report_is_read_and_the_rest_is_named() -> None:
    good: PlistValue = {"ErrorCode": 12021, "ErrorDomain": "D"}
    odd = body(ErrorChain=["failed", good], NotOnConsole="no", NeedSyncResponse=True, AuthToken=b"t", Answer="kept")

    report, faults = read_report(odd)

    assert report.error_chain == (ErrorItem(12021, "D"),)
    assert report.answer == {"Answer": "kept"}
    assert [fault.split()[0] for fault in faults] == ["AuthToken", "NotOnConsole", "an"]


def test_of_an_endless_chain_the_first_errors_are_read() -> None:
    good: PlistValue = {"ErrorCode": 12021, "ErrorDomain": "D"}

    report, faults = read_report(body(ErrorChain=[good] * 1000))

    assert len(report.error_chain) == MAX_ERRORS
    assert len(faults) == 1


def test_of_what_is_no_property_list_the_head_is_read() -> None:
    report, faults = read_report(body(Answer="cut off")[:-30])

    assert report == Report(report.head)
    assert report.head.command_uuid == "C"
    assert faults[0].startswith("it can't be decoded")


def test_sound_report_is_read_as_it_is_decoded() -> None:
    sound = body(ErrorChain=[{"ErrorCode": 1, "ErrorDomain": "D"}], NotOnConsole=False, Answer={"a": 1})

    assert read_report(sound) == (decode_report(sound), ())


MALFORMED_HEADS: list[dict[str, PlistValue | None]] = [
    {"Status": None},
    {"Status": ""},
    {"Status": 7},
    {"Status": ["Idle"]},
    {"Status": "I" * 65},
    {"UDID": None},
    {"UDID": b"D"},
    {"CommandUUID": 7},
    {"CommandUUID": {}},
    {"CommandUUID": "C" * 256},
]


@pytest.mark.parametrize("changes", MALFORMED_HEADS, ids=str)
def test_malformed_head_is_refused_alone_and_in_the_whole(changes: dict[str, PlistValue | None]) -> None:
    with pytest.raises(MalformedMessage):
        read_report_head(body(**changes))
    with pytest.raises(MalformedMessage):
        decode_report(body(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"ErrorChain": "failed"},
        {"ErrorChain": ["failed"]},
        {"ErrorChain": [{"ErrorDomain": "MCMDMErrorDomain"}]},
        {"ErrorChain": [{"ErrorCode": "12021", "ErrorDomain": "MCMDMErrorDomain"}]},
        {"ErrorChain": [{"ErrorCode": True, "ErrorDomain": "MCMDMErrorDomain"}]},
        {"ErrorChain": [{"ErrorCode": 12021}]},
        {"ErrorChain": [{"ErrorCode": 12021, "ErrorDomain": "D"}] * 65},
        {"NotOnConsole": "yes"},
        {"NeedSyncResponse": 1},
        {"UserConfiguration": []},
        {"AuthToken": b"t"},
        {"AuthToken": "t" * 4097},
    ],
    ids=str,
)
def test_malformed_rest_is_refused_but_leaves_the_head_readable(changes: dict[str, PlistValue | None]) -> None:
    with pytest.raises(MalformedMessage):
        decode_report(body(**changes))
    head = read_report_head(body(**changes))
    assert head.command_uuid == "C"
    assert (head.not_on_console, head.needs_sync, head.is_user_configuration, head.auth_token) == (
        None,
        False,
        False,
        None,
    )


def test_what_a_user_of_a_mac_says_is_in_the_head() -> None:
    head = read_report_head(body(NotOnConsole=True, NeedSyncResponse=True, UserConfiguration=True, AuthToken="t"))

    assert (head.not_on_console, head.needs_sync, head.is_user_configuration, head.auth_token) == (
        True,
        True,
        True,
        "t",
    )


def test_head_of_a_report_that_cannot_be_decoded_is_read() -> None:
    """A device sends a result again until it is taken: what is wrong deep inside may not stop the dialogue."""
    report = body(QueryResponses={"When": "NOW"}).replace(b"<string>NOW</string>", b"<date>0000-00-00T00:00:00Z</date>")

    assert read_report_head(report).status is Status.ACKNOWLEDGED
    with pytest.raises(MalformedMessage):
        decode_report(report)


def test_head_of_the_largest_report_is_read() -> None:
    applications: list[PlistValue] = [{"Identifier": f"com.example.{n}", "BundleSize": n} for n in range(20_000)]
    report = body(InstalledApplicationList=applications)
    filler = "x" * (MAX_PLIST_BYTES - len(report) - 100)
    report = body(InstalledApplicationList=applications, Filler=filler)
    assert MAX_PLIST_BYTES - 100 <= len(report) <= MAX_PLIST_BYTES

    assert read_report_head(report).command_uuid == "C"
    assert decode_report(report).answer == {"InstalledApplicationList": applications, "Filler": filler}


@pytest.mark.parametrize(
    ("content_type", "is_checkin"),
    [
        ("application/x-apple-aspen-mdm-checkin", True),
        ("application/x-apple-aspen-mdm-checkin; charset=UTF-8", True),
        (" Application/X-Apple-Aspen-MDM-Checkin ;charset=UTF-8", True),
        ("application/x-apple-aspen-mdm", False),
        ("application/x-apple-aspen-mdm; charset=UTF-8", False),
    ],
)
def test_media_type_tells_checkins_from_reports_whatever_the_body(content_type: str, is_checkin: bool) -> None:
    assert looks_like_checkin(content_type, b"") is is_checkin


@pytest.mark.parametrize("content_type", [None, "", "text/xml", "application/x-apple-aspen-mdm-checkins"])
def test_other_media_types_leave_it_to_the_body(content_type: str | None) -> None:
    assert looks_like_checkin(content_type, write_plist({"MessageType": "Authenticate"}))
    assert looks_like_checkin(content_type, write_plist({"MessageType": "Authenticate", "Status": "odd"}))
    assert not looks_like_checkin(content_type, write_plist({"Status": "Idle"}))


@pytest.mark.parametrize("neither", [b"", b"junk", write_plist({}), write_plist({"UDID": "D"})])
def test_body_of_neither_kind_is_refused(neither: bytes) -> None:
    with pytest.raises(MalformedMessage):
        looks_like_checkin(None, neither)


def test_binary_report_is_read_too() -> None:
    report = plistlib.dumps({"Status": "Idle", "UDID": IPAD.udid}, fmt=plistlib.FMT_BINARY)

    assert read_report_head(report).status is Status.IDLE


TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
FLAGS = st.booleans() | st.none()
HEADS = st.builds(
    lambda status, uuid, *said: ReportHead(resolve_channel(IPAD), IPAD, status, status.value, uuid, *said),
    st.sampled_from(Status),
    TEXT.map(CommandUUID) | st.none(),
    FLAGS,
    st.booleans(),
    st.booleans(),
    TEXT | st.none(),
)
ERRORS = st.builds(ErrorItem, st.integers(-(2**63), 2**63), TEXT, TEXT | st.none(), TEXT | st.none())
ANSWERS = st.dictionaries(
    TEXT.map("Key ".__add__), TEXT | st.integers(0, 9) | st.binary(max_size=9) | st.lists(TEXT, max_size=2), max_size=3
)
REPORTS = st.builds(Report, HEADS, st.lists(ERRORS, max_size=2).map(tuple), ANSWERS)


@settings(max_examples=50)
@given(REPORTS)
def test_any_report_is_read_as_it_was_written(report: Report) -> None:
    assert decode_report(encode_report(report)) == report
    assert read_report_head(encode_report(report)) == report.head


ANY_VALUE: st.SearchStrategy[PlistValue] = st.one_of(
    TEXT, st.integers(0, 9), st.booleans(), st.binary(max_size=9), st.just([{}]), st.just({}), st.just([1])
)
KEYS = ["Status", "CommandUUID", "UDID", "UserID", "EnrollmentID", "ErrorChain", "NotOnConsole", "AuthToken"]


@given(st.dictionaries(st.sampled_from(KEYS), ANY_VALUE | st.none(), max_size=4))
def test_only_malformed_message_escapes(changes: dict[str, PlistValue | None]) -> None:
    try:
        report = decode_report(body(**changes))
    except MalformedMessage:
        return

    assert decode_report(encode_report(report)) == report


@given(st.none() | st.text(max_size=60), st.binary(max_size=60))
def test_only_malformed_message_escapes_from_noise(content_type: str | None, noise: bytes) -> None:
    for read in (read_report_head, decode_report, lambda body: looks_like_checkin(content_type, body)):
        with contextlib.suppress(MalformedMessage):
            read(noise)
