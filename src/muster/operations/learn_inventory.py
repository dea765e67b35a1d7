"""Inventory is learned from what devices answered: facts and lists as they are now, how they changed, and what follows.

An answer that says what the latest one said costs one update. One of an earlier life of the device, or an error, says
nothing; what came from a filtered question speaks of what it was about and of no more.
"""

from collections.abc import Mapping, Sequence

from muster.domain.answered_commands import AnsweredCommand
from muster.domain.control.evidence import Detail, Observation, Signal
from muster.domain.faults import Fault
from muster.domain.inventory.changes import StoredKind, merge_facts, merge_items, repeats
from muster.domain.inventory.kinds import KINDS, InventoryKind
from muster.domain.inventory.learned import Learned, LearnedFact
from muster.domain.inventory.standing import (
    Standing,
    signs_of,
    standing_of_certificates,
    standing_of_facts,
    standing_of_profiles,
)
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.storage import evidence, installations, inventory, known_facts, reviews
from muster.storage.engine import Transaction

MAXIMUM_CHARACTERS = 255
"""Of a text that stands beside a device wherever it is shown, and in indexes; Apple's have a tenth of it."""


def learn_inventory(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Learn what a channel says of itself."""
    said = answered.inventory
    if said is None or not answered.is_of_this_life:
        return []
    if said.learned is not None:
        decided = _keep(tx, answered, said.learned, said.digest, ctx)
        if decided is not None and answered.enrollment.channel.is_device:
            _tell_standing(tx, answered, said.learned, decided, ctx)
    return said.faults


def _keep(
    tx: Transaction, answered: AnsweredCommand, learned: Learned, digest: bytes, ctx: Context
) -> Mapping[str, LearnedFact] | None:
    """Keep what an answer says; returns the facts that it decided, and None where a later answer had decided all."""
    channel_id, at, kind = answered.enrollment.channel.id, answered.reported_at, learned.kind
    stored = inventory.find(tx, channel_id, kind)
    if repeats(stored, learned, digest, at):
        inventory.touch(tx, channel_id, kind, at)
        return learned.facts
    if KINDS[kind].items is None:
        merged = merge_facts(stored, learned, digest, at)
        inventory.store(tx, channel_id, kind, merged.kept)
        inventory.append_changes(tx, channel_id, kind, merged.changes, at, ctx.new_id)
        return {name: learned.facts[name] for name in merged.accepted}
    listed_at = None if stored is None else stored.learned_at
    known = inventory.items(tx, channel_id, kind)
    items = merge_items(known, learned, at, listed_at=listed_at)
    inventory.write_items(tx, channel_id, kind, items.written, items.gone)
    inventory.append_changes(tx, channel_id, kind, items.changes, at, ctx.new_id)
    if listed_at is not None and at < listed_at:
        return None
    if learned.is_whole:
        inventory.store(tx, channel_id, kind, StoredKind(at, digest, {}))
    elif stored is not None and (items.written or items.gone):
        inventory.store(tx, channel_id, kind, StoredKind(stored.learned_at, b"", {}))
    return {}


def _tell_standing(
    tx: Transaction, answered: AnsweredCommand, learned: Learned, decided: Mapping[str, LearnedFact], ctx: Context
) -> None:
    """Keep what follows from an answer for how the device stands, and what of it is evidence."""
    channel_id, at = answered.enrollment.channel.id, answered.reported_at
    is_device_information = learned.kind is InventoryKind.DEVICE_INFORMATION
    if is_device_information:
        _tell_facts(tx, answered, decided)
    standing = _standing(tx, answered, learned, decided).known()
    before = known_facts.standing_of(tx, channel_id)
    news = {name: value for name, value in standing.items() if before.get(name) != value}
    known_facts.store_standing(tx, channel_id, news, at if is_device_information else None)
    detail: Detail = {"command_uuid": answered.command_uuid}
    seen = [
        Observation(channel_id, Signal.INVENTORY, sign.value, at, answered.epoch, "", detail)
        for sign in signs_of(before, news)
    ]
    evidence.append(tx, seen, ctx.new_id)


def _standing(
    tx: Transaction, answered: AnsweredCommand, learned: Learned, decided: Mapping[str, LearnedFact]
) -> Standing:
    if KINDS[learned.kind].items is None:
        return standing_of_facts(learned.kind, decided)
    if not learned.is_whole:
        return Standing()
    if learned.kind is InventoryKind.PROFILE_LIST:
        installation = installations.read(tx)
        return standing_of_profiles(learned.items, "" if installation is None else installation.profile_identifier)
    if learned.kind is InventoryKind.CERTIFICATE_LIST:
        pins = answered.enrollment.pins
        may_speak = (pins.current, pins.former, pins.provisional)
        return standing_of_certificates(learned.items.keys(), [one for one in may_speak if one is not None])
    return Standing()


def _tell_facts(tx: Transaction, answered: AnsweredCommand, decided: Mapping[str, LearnedFact]) -> None:
    """Keep the facts that stand beside a device wherever it is shown, where one of them is news."""
    channel_id = answered.enrollment.channel.id
    said = _shown_facts(decided)
    known = known_facts.facts_of(tx, channel_id)
    if all(getattr(said, name) in (None, getattr(known, name)) for name in known_facts.Facts.__dataclass_fields__):
        return
    known_facts.store_facts(tx, channel_id, said, answered.reported_at)
    if known.os_version is None:
        reviews.schedule(tx, ChannelId(channel_id), answered.reported_at)  # what else to ask depends on it


def _shown_facts(facts: Mapping[str, LearnedFact]) -> known_facts.Facts:
    """Pick the facts that stand beside a device wherever it is shown."""
    awaiting = facts.get("AwaitingConfiguration")
    return known_facts.Facts(
        serial_number=_text(facts, "SerialNumber"),
        product_name=_text(facts, "ProductName"),
        model=_text(facts, "Model"),
        model_name=_text(facts, "ModelName"),
        device_name=_text(facts, "DeviceName"),
        os_version=_text(facts, "OSVersion"),
        build_version=_text(facts, "BuildVersion"),
        imei=_text(facts, "IMEI") or _of_subscription(facts, "IMEI"),
        meid=_text(facts, "MEID") or _of_subscription(facts, "MEID"),
        awaiting_configuration=awaiting.value if awaiting is not None and isinstance(awaiting.value, bool) else None,
    )


def _text(facts: Mapping[str, LearnedFact], key: str) -> str | None:
    fact = facts.get(key)
    value = None if fact is None else fact.value
    return value if isinstance(value, str) and 0 < len(value) <= MAXIMUM_CHARACTERS else None


def _of_subscription(facts: Mapping[str, LearnedFact], key: str) -> str | None:
    """Return what the first mobile subscription says: there newer systems have what they once said of the device."""
    fact = facts.get("ServiceSubscriptions")
    listed = None if fact is None else fact.value
    first = listed[0] if isinstance(listed, list) and listed else None
    value = first.get(key) if isinstance(first, dict) else None
    return value if isinstance(value, str) and 0 < len(value) <= MAXIMUM_CHARACTERS else None
