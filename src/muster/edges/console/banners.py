"""What pages say at their top: a push certificate that ends, that there is none, that pushes or commands are held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from muster.domain.command_queue import HoldReason
from muster.domain.control.saying import capital
from muster.domain.push_breaker import Breaker, BreakerCause
from muster.domain.push_certificates import URGENT_WITHIN
from muster.domain.push_explanation import breaker_sentence
from muster.edges.console.rendering import with_code
from muster.edges.console.times import Clock
from muster.operations.views.holds import HELD_SHOWN, HeldRow, PauseRow, held_left_out
from muster.operations.views.incidents import IncidentRow
from muster.operations.views.marks import Mark, Shape, Tone
from muster.operations.views.push_certificates import PushCertificateState


@dataclass(frozen=True, slots=True)
class Banner:
    """One warning: its mark, and what it says."""

    mark: Mark
    text: Markup


_EXPIRED = Mark("Push certificate expired", Shape.CROSS, Tone.BAD)
_MISSING = Mark("No push certificate", Shape.CROSS, Tone.BAD)
_URGENT = Mark("Push certificate expires", Shape.TRIANGLE, Tone.BAD)
_SOON = Mark("Push certificate expires", Shape.TRIANGLE, Tone.WARNING)


def push_certificate_banners(state: PushCertificateState, clock: Clock) -> list[Banner]:
    """Say what is wrong with the push certificates; nothing when all is well."""
    if not state.has_any:
        text = Markup(
            "There is no push certificate, so no device can be woken: begin in "
            '<a href="/certificates">certificates</a>, or with <code>muster push-cert request</code>.'
        )
        return [Banner(_MISSING, text)]
    return [_banner(topic, not_after, clock) for topic, not_after in sorted(state.ending.items())]


def _banner(topic: str, not_after: datetime, clock: Clock) -> Banner:
    ago = clock.ago_in_words(not_after)
    if not_after <= clock.now:
        text = Markup(
            "The push certificate for {} expired {}, so its devices can't be woken: renew that same one, not a new "
            'one. <a href="/certificates">Certificates</a> has the steps, or '
            "<code>muster push-cert request</code> begins it."
        ).format(topic, ago)
        return Banner(_EXPIRED, text)
    text = Markup(
        "The push certificate for {} expires {}: renew that same one, not a new one. "
        '<a href="/certificates">Certificates</a> has the steps, or <code>muster push-cert request</code> begins it.'
    ).format(topic, ago)
    return Banner(_URGENT if not_after - clock.now <= URGENT_WITHIN else _SOON, text)


_HELD = "Pushes are held"
_BREAKERS = {
    BreakerCause.APNS_UNREACHABLE: Mark(_HELD, Shape.TRIANGLE, Tone.BAD),
    BreakerCause.APNS_UNAVAILABLE: Mark(_HELD, Shape.TRIANGLE, Tone.WARNING),
    BreakerCause.CERTIFICATE_REFUSED: Mark(_HELD, Shape.CROSS, Tone.BAD),
    BreakerCause.PUSHES_REFUSED: Mark(_HELD, Shape.TRIANGLE, Tone.BAD),
    BreakerCause.TOKENS_REFUSED: Mark(_HELD, Shape.CROSS, Tone.BAD),
}


def breaker_banners(breakers: Mapping[str, Breaker], clock: Clock) -> list[Banner]:
    """Say of each open breaker, by topic, since when it holds pushes, why, what that means, and what to do."""
    return [
        Banner(_BREAKERS[breaker.cause], with_code(breaker_sentence(topic, breaker, clock.now)))
        for topic, breaker in sorted(breakers.items())
    ]


_FLIP = Mark("Others are not told", Shape.TRIANGLE, Tone.BAD)


def flip_banners(said: str | None) -> list[Banner]:
    """Say of the mass flip that is held what waits, and how it is released; *said* is absent when nothing is held."""
    return [] if said is None else [Banner(_FLIP, with_code(said) + Markup(' <a href="/waiting">Decide here</a>.'))]


_OURS = Mark("We are at fault", Shape.TRIANGLE, Tone.BAD)


def own_fault_banners(incidents: Sequence[IncidentRow], clock: Clock) -> list[Banner]:
    """Say what fails on our own side: whom it touches is judged by nothing that follows from it."""
    text = Markup("{}; it began {}. What it touches is not judged until it is over.")
    return [
        Banner(_OURS, text.format(capital(one.sentence), clock.ago_in_words(one.began_at)))
        for one in incidents
        if one.is_ours
    ]


_PAUSED = Mark("Queue paused", Shape.CLOCK, Tone.WARNING)
_HELD_BACK = Mark("Command held back", Shape.CLOCK, Tone.WARNING)
_PARKED = Mark("Command parked", Shape.TRIANGLE, Tone.WARNING)
_MORE_HELD = Mark("Commands held back", Shape.CLOCK, Tone.WARNING)


def hold_banners(pauses: Sequence[PauseRow], held: tuple[HeldRow, ...]) -> list[Banner]:
    """Say of a device which queues are paused and which commands wait for a word, and what to do about each."""
    banners = [Banner(_PAUSED, with_code(pause.words)) for pause in pauses]
    for one in held[:HELD_SHOWN]:
        mark = _PARKED if one.because == HoldReason.PARKED.value else _HELD_BACK
        banners.append(Banner(mark, with_code(one.words)))
    left_out = held_left_out(held)
    return banners if left_out is None else [*banners, Banner(_MORE_HELD, with_code(left_out))]
