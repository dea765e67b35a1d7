"""A report is as it was signed, or it does not hold: whichever octet is another."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.control_report.reports import MADE_AT, Report, authority, report

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import issue_identity
from muster.crypto.requests import make_request, read_request
from muster.domain.control_report.canonical import Json, read, written
from muster.domain.control_report.proof import find_entries, is_proof, proof, verify_proof
from muster.domain.control_report.statement import ReportUnsound, verify_entries, verify_statement
from muster.simulator.keys.published import published_keys

ROOTS = [authority().certificate_der]


def verify(one: Report, roots: list[bytes] | None = None) -> None:
    verified = verify_statement(one.statement, one.signature, ROOTS if roots is None else roots)
    verify_entries(verified.data, one.lines)


def a_proof(number: int = 3) -> bytes:
    one = report()
    leaves, found = find_entries(one.lines, [f"SERIAL{number}"])
    [(index, line)] = found.items()
    return proof(one.statement, one.signature, leaves, index, line)


def test_report_as_it_was_signed_holds() -> None:
    verified = verify_statement(report().statement, report().signature, ROOTS)
    contents = verify_entries(verified.data, report().lines)

    assert (verified.is_trusted, verified.signed_at) == (True, MADE_AT)
    assert contents.counts == verified.data["counts"]
    assert verified.data["counts"] == {
        "devices": {
            "total": 5,
            "states": {"in_control": 4, "inactive": 1},
            "in_control_by_proof_level": {"4": 4},
            "others_by_reason": {"silent": 1},
        },
        "user_channels": {"total": 0, "states": {}, "in_control_by_proof_level": {}, "others_by_reason": {}},
    }


def test_report_without_entries_holds() -> None:
    verify(report(0))


def test_without_roots_the_authority_that_came_along_is_not_trusted() -> None:
    assert not verify_statement(report().statement, report().signature, []).is_trusted


def test_report_of_another_authority_is_refused() -> None:
    with pytest.raises(ReportUnsound, match="no chain of certificates"):
        verify(report(), [authority(1).certificate_der])


def test_device_can_sign_no_report() -> None:
    key = published_keys()[3]
    certificate = issue_identity(
        read_request(make_request(key, common_name="Control report")),
        authority(),
        subject_common_name="Control report",
        not_before=MADE_AT,
        not_after=MADE_AT + timedelta(days=3000),
        serial_number=9,
    )

    with pytest.raises(ReportUnsound, match="it may be a device"):
        verify(report(by=SignerIdentity(certificate, key)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_octet_may_be_another(data: st.DataObject) -> None:
    one = report()
    parts = {"statement": one.statement, "signature": one.signature, "lines": b"".join(one.lines)}
    part = data.draw(st.sampled_from(sorted(parts)))
    octets = parts[part]
    at = data.draw(st.integers(0, len(octets) - 1))
    by = data.draw(st.integers(1, 255))
    parts[part] = octets[:at] + bytes([octets[at] ^ by]) + octets[at + 1 :]

    with pytest.raises(ReportUnsound):
        verify(Report(parts["statement"], parts["signature"], parts["lines"].splitlines(keepends=True)))


def test_no_octet_of_the_signature_may_be_another() -> None:
    one = report()
    for at in range(len(one.signature)):
        changed = bytearray(one.signature)
        changed[at] ^= 1 + at % 255
        with pytest.raises(ReportUnsound):
            verify_statement(one.statement, bytes(changed), ROOTS)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_octets_are_refused(octets: bytes) -> None:
    for one in (replace(report(), statement=octets), replace(report(), signature=octets)):
        with pytest.raises(ReportUnsound):
            verify(one)


@pytest.mark.parametrize(
    "lines",
    [
        report().lines[:-1],
        [*report().lines, report().lines[0]],
        [*reversed(report().lines)],
        [*report().lines[:-1], report().lines[-1].rstrip(b"\n")],
        [*report().lines[:-1], b" " + report().lines[-1]],
        [],
    ],
    ids=["one less", "one more", "another order", "without its end", "with a space", "none"],
)
def test_entries_of_another_report_are_refused(lines: list[bytes]) -> None:
    with pytest.raises(ReportUnsound):
        verify(replace(report(), lines=lines))


def test_signature_of_another_report_is_refused() -> None:
    with pytest.raises(ReportUnsound):
        verify(replace(report(), signature=report(4).signature))


# --- proofs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(5))
def test_entry_is_proved_by_itself(number: int) -> None:
    one = a_proof(number)
    proved = verify_proof(one, ROOTS)

    assert is_proof(one)
    assert not is_proof(report().statement)
    assert proved.entry["serial_number"] == f"SERIAL{number}"
    assert proved.statement.is_trusted
    assert not any(f"SERIAL{other}".encode() in one for other in range(5))


def test_another_entry_is_not_proved() -> None:
    data = read(a_proof(3))

    with pytest.raises(ReportUnsound, match="none of the statement"):
        verify_proof(written({**data, "entry": read(a_proof(2))["entry"]}), ROOTS)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_octet_of_a_proof_may_be_another(data: st.DataObject) -> None:
    octets = a_proof()
    at, by = data.draw(st.integers(0, len(octets) - 1)), data.draw(st.integers(1, 255))

    with pytest.raises(ReportUnsound):
        verify_proof(octets[:at] + bytes([octets[at] ^ by]) + octets[at + 1 :], ROOTS)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["statement", "signature", "entry", "index", "path", "type", "version"]),
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3),
)
def test_any_proof_is_refused(name: str, value: Json) -> None:
    data = read(a_proof())
    if data[name] == value and type(data[name]) is type(value):
        return
    with pytest.raises(ReportUnsound):
        verify_proof(written({**data, name: value}), ROOTS)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.integers(1, 3000).map(lambda depth: b'{"a":' + b"[" * depth + b"]" * depth + b"}"))
def test_any_octets_are_no_proof(octets: bytes) -> None:
    with pytest.raises(ReportUnsound):
        verify_proof(octets, ROOTS)
