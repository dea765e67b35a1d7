"""Passkeys (W3C, Web Authentication Level 3): what is asked of a browser, and whether its answer is right.

The person is verified by the authenticator (fingerprint, face, PIN), and the passkey finds itself: no name is typed.
Attestation isn't asked for: which maker's key somebody has is not for us to choose.
"""

from dataclasses import dataclass
from typing import Final

MAXIMUM_ANSWER_CHARACTERS: Final = 16_384
"""Of a browser's answer: with no attestation it has some 1,500."""
TIMEOUT_MILLISECONDS: Final = 120_000
"""A person looks for the key first."""


class BadPasskey(Exception):
    """The answer isn't what was asked for, or not by this key; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where passkeys are good: *id* is the host's name, *origin* the address that browsers must have shown."""

    id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A passkey as it is kept: *public_key* is its COSE_Key; *sign_count* what the authenticator counted, or 0."""

    id: bytes
    public_key: bytes
    sign_count: int


def registration_options(site: Site, *, user_id: bytes, name: str, challenge: bytes, known: tuple[bytes, ...]) -> str:
    """Return as JSON what a browser makes a passkey by; authenticators that have one of *known* are left out."""
    from webauthn import generate_registration_options, options_to_json  # noqa: PLC0415 - takes a tenth of a second
    from webauthn.helpers.structs import (  # noqa: PLC0415 - as above
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=site.id,
        rp_name="Muster",
        user_id=user_id,
        user_name=name,
        challenge=challenge,
        timeout=TIMEOUT_MILLISECONDS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
    )
    return options_to_json(options)


def read_registration(answer: str, site: Site, challenge: bytes) -> Credential:
    """Return the passkey that a browser made. Raises BadPasskey."""
    from webauthn import verify_registration_response  # noqa: PLC0415 - as above
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - as above

    _check_length(answer)
    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, *_MALFORMED) as error:
        raise BadPasskey(str(error)) from error
    return Credential(made.credential_id, made.credential_public_key, made.sign_count)


def authentication_options(site: Site, challenge: bytes) -> str:
    """Return as JSON what a browser lets somebody choose a passkey by."""
    from webauthn import generate_authentication_options, options_to_json  # noqa: PLC0415 - as above
    from webauthn.helpers.structs import UserVerificationRequirement  # noqa: PLC0415 - as above

    options = generate_authentication_options(
        rp_id=site.id,
        challenge=challenge,
        timeout=TIMEOUT_MILLISECONDS,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def credential_named(answer: str) -> bytes:
    """Return the id of the passkey that an answer says it is by; nothing of it is checked. Raises BadPasskey."""
    from webauthn.helpers import parse_authentication_credential_json  # noqa: PLC0415 - as above
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - as above

    _check_length(answer)
    try:
        return parse_authentication_credential_json(answer).raw_id
    except (WebAuthnException, *_MALFORMED) as error:
        raise BadPasskey(str(error)) from error


def read_authentication(answer: str, site: Site, challenge: bytes, known: Credential) -> int:
    """Return the authenticator's new count, the answer being by the key *known*.

    Raises BadPasskey, also for a count that went back: somebody has a copy of the key (Level 3, 6.1.1).
    """
    from webauthn import verify_authentication_response  # noqa: PLC0415 - as above
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - as above

    _check_length(answer)
    try:
        shown = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.id,
            expected_origin=site.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, *_MALFORMED) as error:
        raise BadPasskey(str(error)) from error
    return shown.new_sign_count


_MALFORMED: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What the library's parsers raise beside errors of their own for bytes that are none of theirs."""


def _check_length(answer: str) -> None:
    if len(answer) > MAXIMUM_ANSWER_CHARACTERS:
        raise BadPasskey(f"the answer has more than {MAXIMUM_ANSWER_CHARACTERS:,} characters")
