"""A device's verdict as the first lines of what is shown of it."""

from collections.abc import Mapping
from datetime import datetime

from rich.text import Text

from muster.cli.marks import Indented, Page
from muster.cli.output import without_orders
from muster.domain.control import saying
from muster.domain.control.reasons import REASONS
from muster.domain.control.states import ControlState
from muster.domain.control.words import instant_near
from muster.operations.views.devices import DeviceDetails
from muster.operations.views.marks import CONTROL, NOT_JUDGED
from muster.operations.views.verdicts import VerdictRow
from muster.protocol.identifiers import ChannelId


def print_verdict(details: DeviceDetails, verdicts: Mapping[ChannelId, VerdictRow], now: datetime) -> None:
    """Say the verdict first: the sentence, what happens next, how well it is proved, what decided; then its users'."""
    page, device = Page(), details.device
    page.say(Text(without_orders(device.name or device.serial_number or device.id), style="bold"))
    verdict = verdicts.get(device.id)
    if verdict is None:
        page.say(page.mark(NOT_JUDGED, "Not judged yet: its first review is due within a minute."))
        return
    page.say(Indented(page.mark(CONTROL[verdict.state], verdict.words), 0))
    is_well = verdict.state in (ControlState.IN_CONTROL, ControlState.ENDED)
    lines = [
        ("next", verdict.next),
        ("forecast", "" if is_well else f"{saying.capital(saying.FORECASTS[verdict.forecast])}."),
        ("reason", "" if verdict.state is ControlState.IN_CONTROL else _reason(verdict)),
        ("causes", verdict.causes),
        ("proof", verdict.proof),
        ("noticed", f"{saying.capital(instant_near(verdict.noticed_at, now))}."),
    ]
    for name, text in lines:
        if text:
            page.say(Indented(text, 12, f"  {name}"))
    for one in verdict.evidence:
        page.say(Indented(f"{one.signal}: {saying.evidence_sentence(one, now)}", 12, "  evidence"))
    for note in verdict.notes:
        page.say(Indented(f"{saying.capital(note.sentence)}.", 12, "  besides"))
    for channel in details.channels:
        held = verdicts.get(channel.id)
        if channel.id != device.id and held is not None:
            said = Text.assemble(
                f"{without_orders(channel.user_short_name or channel.id)}: ", page.mark(CONTROL[held.state], held.words)
            )
            page.say(Indented(said, 12, "  user"))
    if verdict.state in saying.WORRIES:
        page.say(
            "",
            f"  muster why {device.id}        says how this was decided",
            f"  muster timeline {device.id}   tells how it came to that",
            f"  muster recover {device.id}    shows what is done to bring it back",
        )


def _reason(verdict: VerdictRow) -> str:
    others = f"; found beside it: {', '.join(one.value for one in verdict.others)}" if verdict.others else ""
    return f"{REASONS[verdict.reason].number} {verdict.reason.value}: {verdict.title}{others}"
