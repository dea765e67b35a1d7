"""Guesses are bounded by address, and shut nobody out who shows what was right before."""

from datetime import timedelta

import pytest
from tests.support.instants import NOON as NOW

from muster.operations import limit_guesses
from muster.operations.limit_guesses import GUESS_SECONDS, GUESSES, Guesses


def guess(guesses: Guesses, times: int = GUESSES, source: str = "192.0.2.7") -> None:
    for number in range(times):
        assert guesses.wait(source, b"guess %d" % number, NOW) is None


def test_an_address_may_guess_so_often_and_waits_then() -> None:
    guesses = Guesses()
    guess(guesses)

    assert guesses.wait("192.0.2.7", b"another", NOW) == GUESS_SECONDS + 1
    assert guesses.wait("192.0.2.7", b"another", NOW + timedelta(seconds=GUESS_SECONDS)) is None
    assert guesses.wait("192.0.2.7", b"another", NOW + timedelta(seconds=GUESS_SECONDS)) is not None


def test_those_that_wait_are_not_kept_waiting_by_asking_again() -> None:
    guesses = Guesses()
    guess(guesses)
    for _ in range(1000):
        guesses.wait("192.0.2.7", b"another", NOW)

    assert guesses.wait("192.0.2.7", b"another", NOW + timedelta(seconds=GUESS_SECONDS)) is None


def test_other_addresses_are_not_counted_with_it() -> None:
    guesses = Guesses()
    guess(guesses)

    assert guesses.wait("192.0.2.8", b"another", NOW) is None


def test_a_network_of_ipv6_is_one_address() -> None:
    guesses = Guesses()
    guess(guesses, source="2001:db8::1")

    assert guesses.wait("2001:db8::2", b"another", NOW) is not None
    assert guesses.wait("2001:db8:0:1::2", b"another", NOW) is None


def test_what_was_right_is_looked_at_however_many_guess_beside_it() -> None:
    guesses = Guesses()
    assert guesses.wait("192.0.2.7", b"right", NOW) is None
    guesses.was_right("192.0.2.7", b"right")
    guess(guesses)

    assert guesses.wait("192.0.2.7", b"wrong", NOW) is not None
    assert guesses.wait("192.0.2.7", b"right", NOW) is None
    assert guesses.wait("192.0.2.8", b"wrong", NOW) is None


def test_what_is_right_no_more_counts_as_a_guess() -> None:
    guesses = Guesses()
    guesses.was_right("192.0.2.7", b"revoked")
    guesses.was_wrong("192.0.2.7", b"revoked")
    guess(guesses)

    assert guesses.wait("192.0.2.7", b"revoked", NOW) is not None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_guesses, "ADDRESSES", 2)
    monkeypatch.setattr(limit_guesses, "RIGHT_ONES", 2)
    guesses = Guesses()
    guess(guesses, source="192.0.2.1")
    for number in range(2, 4):
        guesses.wait(f"192.0.2.{number}", b"x", NOW)
        guesses.was_right(f"192.0.2.{number}", b"right")
    guesses.was_right("192.0.2.4", b"right")

    guess(guesses, source="192.0.2.1")
    assert guesses.wait("192.0.2.1", b"x", NOW) is not None
    assert guesses.wait("192.0.2.3", b"right", NOW) is None
