"""What is known of one device, named as Apple's pages name it, in the order in which people ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_explanation import REASONS
from muster.edges.console.rendering import device_url, with_code
from muster.edges.console.times import Clock
from muster.operations.views import words
from muster.operations.views.devices import DeviceDetails
from muster.operations.views.identities import RenewalRow
from muster.operations.views.pushing import ChannelPushing
from muster.protocol.identifiers import ChannelId

Known = str | bool | float | datetime | None
"""A fact that stands beside a device."""

_KINDS = {
    "Device": "Device enrollment",
    "User Enrollment (Device)": "User Enrollment",
    "User": "User",
    "User Enrollment": "User of a User Enrollment",
    "Shared iPad": "User of a Shared iPad",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the facts. *is_code* for what people compare letter by letter."""

    name: str
    value: Markup
    is_code: bool = False


def kind_in_words(kind: str) -> str:
    """Say which kind of channel it is."""
    return _KINDS.get(kind, kind)


def channel_names(details: DeviceDetails) -> dict[ChannelId, str]:
    """Name each channel of a device as people know it: the device, or the user."""
    return {
        channel.id: "Device"
        if channel.id == details.device.id
        else channel.user_short_name or channel.user_long_name or "User"
        for channel in details.channels
    }


def facts_of(
    details: DeviceDetails, clock: Clock, renewal: RenewalRow | None = None, pushing: ChannelPushing | None = None
) -> list[Fact]:
    """List the facts that are known; what is not known is left out. *pushing* is how its own channel stands."""
    device, known = details.device, details.facts
    model = known.get("product_name")
    facts = [
        _text("Serial number", device.serial_number, is_code=True),
        _same_serial(details),
        _text("Model", known.get("model_name") or model),
        _text("Product name", model if known.get("model_name") else None, is_code=True),
        _text("OS version", _with_build(device.os_version, known.get("build_version"))),
        _text("IMEI", known.get("imei"), is_code=True),
        _text("MEID", known.get("meid"), is_code=True),
        _text("Enrollment", kind_in_words(device.kind)),
        *_standing(known),
        _text("Id", device.id, is_code=True),
        _text(
            "Setup",
            "in Setup Assistant, until it gets DeviceConfigured" if known.get("awaiting_configuration") else None,
        ),
        _time("First seen", device.first_seen_at, clock),
        _time("Last contact", device.last_contact_at, clock),
        _time("Last obeyed", device.last_proof_at, clock),
        _time("Identity expires", device.identity_not_after, clock),
        _text("Renewal", None if renewal is None else words.RENEWAL_STATES[renewal.state]),
        *_pushing(pushing, clock),
        _push(details, clock),
    ]
    return [fact for fact in facts if fact is not None]


def enrolled(details: DeviceDetails, clock: Clock) -> Markup:
    """Say when and how it enrolled last, and which time that was."""
    if not details.epochs:
        return Markup("not yet")
    last = max(details.epochs, key=lambda epoch: epoch.number)
    way = words.PROVENANCES.get(last.provenance, last.provenance)
    times = Markup("") if last.number == 1 else Markup(", number {}").format(last.number)
    closed = "" if last.closed_at is None else Markup("; over {}").format(clock.ago_in_words(last.closed_at))
    said = Markup("{} ({}), by {}{}{}")
    return said.format(
        clock.ago_in_words(last.opened_at), clock.exact(last.opened_at), way[:1].lower() + way[1:], times, closed
    )


def identity(details: DeviceDetails, clock: Clock, renewal: RenewalRow | None) -> Markup | None:
    """Say when its identity ends, and how its renewal stands; None where it has none."""
    ends = details.device.identity_not_after
    if ends is None:
        return None
    verb = "expires" if ends > clock.now else "expired"
    standing = "" if renewal is None else words.RENEWAL_STATES[renewal.state]
    renewed = f"; renewal: {standing}" if standing else ""
    return Markup("{} {} ({}){}").format(verb, clock.ago_in_words(ends), clock.exact(ends), renewed)


_STANDING = {
    "is_supervised": "Supervised",
    "is_user_approved": "Approved by its user",
    "is_disk_encrypted": "Disk encrypted",
    "is_passcode_compliant": "Passcode compliant",
    "is_lost": "In lost mode",
    "has_enrollment_profile": "Enrollment profile there",
}


def _standing(known: Mapping[str, Known]) -> list[Fact | None]:
    """Say how it stands by its inventory, where that is known."""
    words = {True: "yes", False: "no"}
    return [
        _text(name, words.get(value)) for key, name in _STANDING.items() if isinstance(value := known.get(key), bool)
    ]


def _text(name: str, value: Known, *, is_code: bool = False) -> Fact | None:
    return Fact(name, escape(value), is_code) if value else None


def _time(name: str, at: datetime | None, clock: Clock) -> Fact | None:
    return None if at is None else Fact(name, Markup("{}, {}").format(clock.ago_in_words(at), clock.exact(at)))


def _same_serial(details: DeviceDetails) -> Fact | None:
    """Link the devices that say they have the same serial number: a repaired board, or virtual machines."""
    if not details.same_serial:
        return None
    links = (Markup('<a href="{}">{}</a>').format(device_url(one), one) for one in details.same_serial)
    return Fact("Same serial as", Markup(", ").join(links), is_code=True)


def _with_build(version: str | None, build: Known) -> str | None:
    return f"{version} ({build})" if version and build else version


def _pushing(pushing: ChannelPushing | None, clock: Clock) -> list[Fact | None]:
    """Say whether it is pushed, why it is wanted, and what is known of its token."""
    if pushing is None or pushing.known.state is EnrollmentState.ENDED:
        return []
    wish, target = pushing.known.wish, pushing.known.target
    wanted = token = None
    if wish is not None:
        so_far = f"; {wish.attempts} sent so far" if wish.attempts else ""
        wanted = Markup("{}, for {}{}").format(clock.ago_in_words(wish.wanted_at), REASONS[wish.reason], so_far)
    if target is not None:
        refused = Markup("")
        if target.refused_at is not None:
            refused = Markup("; refused {}").format(clock.ago_in_words(target.refused_at))
        token = Markup("from the TokenUpdate {}{}").format(clock.ago_in_words(target.updated_at), refused)
    return [
        Fact("Pushing", with_code(pushing.words)),
        None if wanted is None else Fact("Push wanted", wanted),
        None if token is None else Fact("Push token", token),
    ]


def _push(details: DeviceDetails, clock: Clock) -> Fact | None:
    push = details.push
    if push is None or push.last_outcome is None or push.last_outcome_at is None:
        return None
    answer = words.push_answer(push.last_outcome).word.lower()
    reason = f" ({push.last_reason})" if push.last_reason else ""
    return Fact("Last push", Markup("{}{}, {}").format(answer, reason, clock.ago_in_words(push.last_outcome_at)))
