"""Signatures that another process makes are the ones that would be made here, and cost no virtual time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import RSAPrivateKey, generate_rsa_key
from muster.laboratory.signing_aside import MAX_UNDER_WAY, SigningAside
from muster.laboratory.virtual_time import VirtualTimeLoop
from muster.simulator.keys.published import published_keys
from muster.simulator.mdm_requests import sign_in_place

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MANY = 3 * MAX_UNDER_WAY


def identity_of(key: RSAPrivateKey) -> SignerIdentity:
    certificate = make_push_certificate("a topic", key, now=NOW, lifetime=timedelta(days=1), serial_number=7)
    return SignerIdentity(certificate, key)


def signed_by(key: RSAPrivateKey, *, processors: int) -> tuple[list[str], list[str], float]:
    """What is signed aside, what is signed in place, and how long it took in virtual time."""
    identity = identity_of(key)
    loop = VirtualTimeLoop(NOW)

    async def main() -> tuple[list[str], list[str], float]:
        questions = [
            (b"body %d" % number * 500, identity, Digest.SHA256, bool(number % 2), NOW if number % 2 else None)
            for number in range(MANY)
        ]
        aside = await asyncio.gather(*(signing.sign(*question) for question in questions))
        return aside, [await sign_in_place(*question) for question in questions], loop.time()

    with SigningAside(loop, processors=processors) as signing:
        return loop.run(main())


@pytest.mark.parametrize("processors", [1, 2])
def test_what_is_signed_aside_is_what_would_be_signed_here_at_the_same_instant(processors: int) -> None:
    aside, here, seconds = signed_by(published_keys()[0], processors=processors)

    assert aside == here
    assert len(set(aside)) == MANY
    assert seconds == 0


def test_a_key_that_the_other_process_does_not_have_signs_here() -> None:
    aside, here, _ = signed_by(generate_rsa_key(), processors=2)

    assert aside == here


def test_who_gives_up_a_signature_leaves_the_others_theirs() -> None:
    identity = identity_of(published_keys()[0])
    loop = VirtualTimeLoop(NOW)

    async def main() -> str:
        given_up = asyncio.ensure_future(signing.sign(b"one", identity, Digest.SHA256, False, None))
        wanted = asyncio.ensure_future(signing.sign(b"two", identity, Digest.SHA256, False, None))
        await asyncio.sleep(0)
        given_up.cancel()
        return await wanted

    with SigningAside(loop, processors=2) as signing:
        signature = loop.run(main())

    assert signature == asyncio.run(sign_in_place(b"two", identity, Digest.SHA256, False, None))
