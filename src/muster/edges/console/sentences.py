"""What the pages say first: a sentence with its figures inside."""

from datetime import timedelta

from markupsafe import Markup, escape

from muster.domain.control.saying import WORRIES
from muster.domain.enrollment import EnrollmentState
from muster.edges.console.times import Clock
from muster.operations.views import words
from muster.operations.views.device_lists import DeviceCounts, DeviceRow
from muster.operations.views.devices import DeviceDetails
from muster.operations.views.fleet_needs import EXPIRY_NOTICE
from muster.operations.views.identities import RenewalRow

SILENT_AFTER = timedelta(days=7)
"""Silence of an enrolled device worth a word: Apple counts a device as away after several days to a week."""


def device_sentence(details: DeviceDetails, clock: Clock, renewal: RenewalRow | None = None) -> Markup:
    """Say of one device whether it is enrolled, when it was heard, what waits, and what is wrong with it.

    *renewal* is how the renewal of its identity stands.
    """
    row = details.device
    parts = [_enrollment(row, clock)]
    if row.state != EnrollmentState.ENDED:
        parts += [_contact(row, clock), _waiting(row.commands_waiting)]
    first = Markup("; ").join(parts) + "."
    return Markup(" ").join([first, *_findings(details, clock, renewal)])


def _enrollment(row: DeviceRow, clock: Clock) -> Markup:
    if row.state == EnrollmentState.ENDED and row.ended_at is not None:
        why = words.END_REASONS.get(row.ended_reason or "", row.ended_reason or "for an unknown reason")
        return Markup("Ended {}: {}").format(clock.day(row.ended_at), why)
    if row.state == EnrollmentState.ENROLLING:
        return Markup("Enrolling since {}: its TokenUpdate has not come yet").format(clock.exact(row.first_seen_at))
    return Markup("Enrolled since {}").format(clock.day(row.enrolled_at or row.first_seen_at))


def _contact(row: DeviceRow, clock: Clock) -> Markup:
    if row.last_contact_at is None:
        return Markup("never in contact")
    if row.state == EnrollmentState.ENROLLED and clock.now - row.last_contact_at >= SILENT_AFTER:
        return Markup("silent, its last contact was {}").format(clock.ago_in_words(row.last_contact_at))
    return Markup("in contact {}").format(clock.ago_in_words(row.last_contact_at))


def _waiting(count: int) -> Markup:
    if count == 0:
        return Markup("nothing waits")
    return escape("1 command waits" if count == 1 else f"{count:,} commands wait")


def _findings(details: DeviceDetails, clock: Clock, renewal: RenewalRow | None) -> list[Markup]:
    row = details.device
    findings = [] if details.departure is None else [escape(details.departure.words)]
    if row.state == EnrollmentState.ENDED:
        return findings
    push = details.push
    if push is not None and push.refused_at is not None:
        findings.append(
            Markup(
                "APNs refused its push token {}: it can't be woken, and is heard when it connects by itself."
            ).format(clock.ago_in_words(push.refused_at))
        )
    if row.identity_not_after is not None and row.identity_not_after <= clock.now:
        findings.append(Markup("Its identity expired {}.").format(clock.ago_in_words(row.identity_not_after)))
    elif row.identity_not_after is not None and row.identity_not_after - clock.now < EXPIRY_NOTICE:
        findings.append(Markup("Its identity expires {}.").format(clock.ago_in_words(row.identity_not_after)))
    if renewal is not None and renewal.words:
        findings.append(escape(renewal.words))
    return findings


def fleet_sentence(counts: DeviceCounts, *, others_url: str) -> Markup:
    """Say of the fleet how much of it is enrolled, and how much is not in control; *others_url* lists these."""
    enrolled = counts.by_state.get(EnrollmentState.ENROLLED.value, 0)
    if enrolled == 0:
        return Markup("No device is enrolled.")
    first = escape("1 device is enrolled" if enrolled == 1 else f"{enrolled:,} devices are enrolled")
    others = sum(count for state, count in counts.by_control.items() if state in WORRIES)
    if others == 0:
        return Markup("{}.").format(first)
    are = "1 device is" if others == 1 else f"{others:,} devices are"
    return Markup('{}; <a href="{}">{} not in control</a>.').format(first, others_url, are)
