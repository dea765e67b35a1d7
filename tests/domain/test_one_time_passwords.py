"""One-time passwords are those of RFC 6238, count once, and for as long as clocks differ."""

import base64
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain.one_time_passwords import STEP_SECONDS, as_text, password_of, set_up_uri, step_at, step_of

SECRET = b"12345678901234567890"
NOW = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "eight_digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_passwords_are_those_of_rfc_6238_appendix_b(seconds: int, eight_digits: str) -> None:
    assert password_of(SECRET, seconds // STEP_SECONDS) == eight_digits[-6:]


@pytest.mark.parametrize(("off", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(off: int, counts: bool) -> None:
    step = step_at(NOW) + off

    assert step_of(SECRET, password_of(SECRET, step), NOW, None) == (step if counts else None)


def test_a_password_is_good_once() -> None:
    typed, step = password_of(SECRET, step_at(NOW)), step_at(NOW)

    assert step_of(SECRET, typed, NOW, step - 1) == step
    assert step_of(SECRET, typed, NOW, step) is None
    assert step_of(SECRET, password_of(SECRET, step - 1), NOW, step) is None


def test_blanks_count_for_nothing() -> None:
    typed = password_of(SECRET, step_at(NOW))

    assert step_of(SECRET, f" {typed[:3]} {typed[3:]}\n", NOW, None) is not None


@given(st.text(max_size=20))
@settings(max_examples=50)
def test_what_is_no_password_matches_nothing(typed: str) -> None:
    assert step_of(b"another secret", typed, NOW, None) is None or len("".join(typed.split())) == 6


def test_uri_holds_what_an_application_asks_for() -> None:
    uri = set_up_uri(SECRET, name="ana & ben", issuer="mdm.example")

    assert (
        uri
        == f"otpauth://totp/mdm.example:ana%20%26%20ben?secret={as_text(SECRET).replace(' ', '')}&issuer=mdm.example"
    )
    assert base64.b32decode(as_text(SECRET).replace(" ", "")) == SECRET


@pytest.mark.witness("oathtool")
def test_oathtool_makes_the_same_passwords() -> None:
    if shutil.which("oathtool") is None:
        pytest.skip("oathtool is not installed")
    for minutes in range(5):
        at = NOW + timedelta(minutes=minutes)
        command = ["oathtool", "--totp", "--now", at.strftime("%Y-%m-%d %H:%M:%S UTC"), SECRET.hex()]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout

        assert said.strip() == password_of(SECRET, step_at(at))
