"""What is said of a push certificate that is refused: why, who is at stake, and what to do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, assert_never

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.push_certificates import Listeners, OfferedCertificate, PushSetup, Unfit

NAMED_AT_MOST: Final = 20
"""Devices named in a refusal: enough to recognize the fleet, and short enough to read."""
TOPICS_TOLD: Final = 5
"""Topics told about in a refusal; sites have one, and two while they move."""
CHARACTERS_TOLD: Final = 100
"""Of a topic or a name, which devices choose: Apple's topics have 58 characters, serial numbers 12."""
PORTAL: Final = "https://identity.apple.com/pushcert"


def refuse_certificate(
    unfit: Unfit,
    offered: OfferedCertificate,
    setup: PushSetup,
    named: Mapping[str, tuple[str, ...]],
    now: datetime,
) -> Refusal:
    """Say why a certificate is not put into use. *named*: some of the devices that listen to each topic."""
    why, remedy = _explanation(unfit, offered, setup, now)
    lines = [why, *at_stake(setup, now)]
    if unfit is Unfit.ANOTHER_TOPIC:
        lines += [_names(topic, listeners, named) for topic, listeners in _told(setup)]
        return _refusal(lines, remedy, RefusalCode.PUSH_TOPIC_CHANGES)
    return _refusal(lines, remedy)


def refuse_files(why: str, remedy: str, setup: PushSetup, now: datetime) -> Refusal:
    """Say why the files that were given hold no push certificate with its key."""
    return _refusal([f"the files can't be read: {why}", *at_stake(setup, now)], remedy)


def _refusal(lines: list[str], remedy: str, code: RefusalCode = RefusalCode.PUSH_CERTIFICATE_UNFIT) -> Refusal:
    return Refusal(code, "\n".join([f"the push certificate was not accepted: {lines[0]}", *lines[1:]]), remedy)


def at_stake(setup: PushSetup, now: datetime) -> list[str]:
    """Say who listens to which topic, and until when they can be woken; nothing while nobody is enrolled."""
    said = []
    for topic, listeners in _told(setup):
        shown = _plain(topic)
        who, listen = count_of(listeners), "listens" if listeners.enrollments == 1 else "listen"
        present = setup.in_use.get(topic)
        if present is None:
            said.append(f"{who} {listen} to {shown}, which has no certificate here: they can't be woken.")
        elif present.not_after <= now:
            said.append(f"{who} {listen} to {shown}, whose certificate ended on {day(present.not_after)}: {_CUT_OFF}.")
        else:
            said.append(
                f"{who} {listen} to {shown}, whose certificate stays in use and ends on {day(present.not_after)}."
            )
    more = len(setup.listeners) - TOPICS_TOLD
    return [*said, f"{more} more topics are listened to."] if more > 0 else said


_CUT_OFF: Final = "they can't be woken until that one is renewed"


def count_of(listeners: Listeners) -> str:
    """Say how many listen: `3 enrollments`, with the devices where these are fewer."""
    said = "1 enrollment" if listeners.enrollments == 1 else f"{listeners.enrollments:,} enrollments"
    if listeners.devices == listeners.enrollments:
        return said
    return f"{said} on {'1 device' if listeners.devices == 1 else f'{listeners.devices:,} devices'}"


def day(at: datetime) -> str:
    """Say a day (UTC)."""
    return f"{at:%Y-%m-%d}"


def _told(setup: PushSetup) -> list[tuple[str, Listeners]]:
    return list(setup.listeners.items())[:TOPICS_TOLD]


def _plain(text: str) -> str:
    """Make what a device said of itself fit for a terminal."""
    told = "".join(character if character.isprintable() else "?" for character in text[:CHARACTERS_TOLD])
    return f"{told}..." if len(text) > CHARACTERS_TOLD else told


def _names(topic: str, listeners: Listeners, named: Mapping[str, tuple[str, ...]]) -> str:
    names = [_plain(name) for name in named.get(topic, ())[:NAMED_AT_MOST]]
    more = listeners.devices - len(names)
    return f"To {_plain(topic)}: {', '.join(names)}{f' and {more:,} more' if more > 0 else ''}."


def _explanation(unfit: Unfit, offered: OfferedCertificate, setup: PushSetup, now: datetime) -> tuple[str, str]:
    """Return what is wrong, and what to do."""
    download = f"Download the certificate of your entry at {PORTAL}."
    renewed = f"Renew the entry at {PORTAL}, with the same Apple Account, and upload what you get."
    match unfit:
        case Unfit.AUTHORITY:
            return "it is the certificate of an authority, which speaks for no topic", download
        case Unfit.VENDOR_CERTIFICATE:
            return (
                "it is the answer to a request for an MDM vendor certificate",
                "Give it to `muster push-cert vendor upload`.",
            )
        case Unfit.NOT_OF_MDM:
            return _not_of_mdm(offered), download
        case Unfit.KEY_UNKNOWN:
            return (
                "no key was given with it, and it answers no request that was made here",
                "Give the key of its request with --key, or renew the entry by way of `muster push-cert request`.",
            )
        case Unfit.KEY_DIFFERS:
            return (
                "the key does not belong to the certificate",
                "Give the key that the request was made with; leave --key out where the request was made here.",
            )
        case Unfit.UNUSABLE:
            return (
                f"TLS can't show it: {offered.unusable}",
                f"{download} Give it without other certificates; its key has to be RSA of 2048 bits, as requests have.",
            )
        case Unfit.NOT_YET_VALID:
            return (
                f"it is valid from {_moment(offered.not_before)} on, and it is {_moment(now)} here",
                "See that this server's clock is right.",
            )
        case Unfit.EXPIRED:
            return f"it expired on {day(offered.not_after)}", renewed
        case Unfit.NOT_OF_APPLE:
            return "it was not issued by Apple, as the one in use was, so APNs would refuse it", download
        case Unfit.OLDER:
            return (
                f"it ends on {day(offered.not_after)}, before the one in use for the same topic",
                f"{download} If the earlier one is meant, say --allow-older.",
            )
        case Unfit.ANOTHER_TOPIC:
            return f"it is for {_plain(offered.topic or '')}, to which nobody listens who is enrolled", _other_topic(
                offered, setup
            )
        case _:
            assert_never(unfit)


def _not_of_mdm(offered: OfferedCertificate) -> str:
    if offered.user_id is None:
        return "its subject has no UID that begins with com.apple.mgmt, so it is no MDM push certificate"
    if offered.user_id.startswith("com.apple.mgmt"):
        return f"it is for {_plain(offered.user_id)}, and no topic has such characters"
    return (
        f"it is for {_plain(offered.user_id)}, which does not begin with com.apple.mgmt: it can't push to MDM clients"
    )


def _other_topic(offered: OfferedCertificate, setup: PushSetup) -> str:
    wanted = _plain(offered.topic or "")
    topics = " or ".join(_plain(topic) for topic, _ in _told(setup))
    ends = [setup.in_use[topic].not_after for topic in setup.listeners if topic in setup.in_use]
    until = f"until its certificate ends on {day(min(ends))}" if ends else "and can't be woken"
    return (
        f"At {PORTAL}, sign in with the Apple Account of the present certificate, renew the entry of {topics}, and "
        "upload what you get: then everybody goes on as before.\n"
        f"If another topic is meant, say --replace-topic: new enrollments then get {wanted}; those that are "
        f"enrolled stay with their topic {until}, and have to enroll again to be woken after that."
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
