"""What every page says at its top: a push certificate that ends, or that there is none."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from muster.domain.push_certificates import URGENT_WITHIN
from muster.edges.console.times import Clock
from muster.edges.console.words import Mark, Shape, Tone
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
            "There is no push certificate, so no device can be woken: begin with <code>muster push-cert request</code>."
        )
        return [Banner(_MISSING, text)]
    return [_banner(topic, not_after, clock) for topic, not_after in sorted(state.ending.items())]


def _banner(topic: str, not_after: datetime, clock: Clock) -> Banner:
    ago = clock.ago_in_words(not_after)
    if not_after <= clock.now:
        text = Markup(
            "The push certificate for {} expired {}, so its devices can't be woken: renew that same one, not a new "
            "one. <code>muster push-cert request</code> begins it."
        ).format(topic, ago)
        return Banner(_EXPIRED, text)
    text = Markup(
        "The push certificate for {} expires {}: renew that same one, not a new one. "
        "<code>muster push-cert request</code> begins it."
    ).format(topic, ago)
    return Banner(_URGENT if not_after - clock.now <= URGENT_WITHIN else _SOON, text)
