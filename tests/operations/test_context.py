"""Identifiers that sort by time, and secrets that open where they were sealed and nowhere else."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.runner import NOW

from muster.crypto.errors import CannotDecrypt
from muster.crypto.sealing import KeyRing, UnknownSealingKey
from muster.domain.access import SERVER
from muster.domain.policy import Policy
from muster.operations.context import Context

PLACE = {"table": "escrow", "column": "sealed", "row": "1"}
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RING = KeyRing.generate(lambda count: b"\x07" * count, NOW)


def context(now: datetime = NOW, random: bytes = b"\xff" * 32, ring: KeyRing = RING) -> Context:
    """Circumstances in which randomness is always the same."""
    return Context(now, SERVER, Policy(), ring, lambda count: random[:count])


@given(
    st.timedeltas(timedelta(0), timedelta(days=200_000)).map(lambda since: UNIX_EPOCH + since),
    st.binary(min_size=10, max_size=10),
)
def test_identifier_is_a_uuid_of_version_7_that_tells_its_time(now: datetime, random: bytes) -> None:
    text = context(now, random).new_id()

    uuid = UUID(text)
    assert (str(uuid), uuid.version, uuid.variant) == (text, 7, RFC_4122)
    assert uuid.int >> 80 == (now - UNIX_EPOCH) // timedelta(milliseconds=1)


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10), st.integers(1, 10**9))
def test_later_identifiers_sort_later_whatever_the_randomness(earlier: bytes, later: bytes, milliseconds: int) -> None:
    after = NOW + timedelta(milliseconds=milliseconds)

    assert context(NOW, earlier).new_id() < context(after, later).new_id()


def test_74_bits_of_an_identifier_are_random() -> None:
    values = [0] + [1 << bit for bit in range(74)]

    identifiers = {context(random=value.to_bytes(10, "big")).new_id() for value in values}

    assert len(identifiers) == 75


def test_what_was_sealed_opens_in_its_place() -> None:
    ctx = context()

    assert ctx.open(ctx.seal(b"secret", **PLACE), **PLACE) == b"secret"


@pytest.mark.parametrize(
    "elsewhere", [PLACE | {"table": "escro"}, PLACE | {"column": "other"}, PLACE | {"row": "2"}, PLACE | {"row": ""}]
)
def test_what_was_sealed_does_not_open_elsewhere(elsewhere: dict[str, str]) -> None:
    ctx = context()
    sealed = ctx.seal(b"secret", **PLACE)

    with pytest.raises(CannotDecrypt):
        ctx.open(sealed, **elsewhere)


def test_places_are_told_apart_though_their_names_run_together() -> None:
    ctx = context()
    sealed = ctx.seal(b"secret", table="ab", column="c", row="d")

    with pytest.raises(CannotDecrypt):
        ctx.open(sealed, table="a", column="bc", row="d")


def test_key_that_is_not_in_the_ring_is_named() -> None:
    other = KeyRing.generate(lambda count: b"\x08" * count, NOW)
    sealed = context(ring=other).seal(b"secret", **PLACE)

    with pytest.raises(UnknownSealingKey, match=other.keys[0].key_id.hex()):
        context().open(sealed, **PLACE)


def test_circumstances_do_not_show_their_secrets() -> None:
    assert "ring" not in repr(context())
    assert "random_bytes" not in repr(context())
