"""`muster push`: wake a device, ask why one is pushed or not, and see how pushing stands."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json, print_table, print_told, without_orders
from muster.cli.server_calls import at
from muster.domain.push_explanation import answer_sentence, breaker_sentence, moment, wish_sentence
from muster.domain.push_standing import KnownOfPushing, Standing
from muster.domain.push_topics import TopicState
from muster.operations.ask_for_push import ask_for_push
from muster.operations.views.push_fleet import PushStatus, TopicPushing, push_status
from muster.operations.views.pushing import ChannelPushing, explain_pushing
from muster.protocol.identifiers import ChannelId
from muster.storage.hot_pushes import RecordedPush

app = typer.Typer(help="Pushes.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Pushes."""


@app.command("send")
def send(
    channel_id: Annotated[
        str, typer.Argument(metavar="ID", help="A device's id or serial number, or a user channel's id.")
    ],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Have the server push a channel at once, so that it connects; where something keeps it from that, say what."""
    with open_office(data_dir, database, key_ring) as data:
        channel_id = data.channel(channel_id)
        data.run(ask_for_push, ChannelId(channel_id))
        now = data.now
        one = data.ask(
            lambda here: here.view(lambda tx: explain_pushing(tx, ChannelId(channel_id), now), about=[channel_id]),
            lambda there: there.get(at("devices", channel_id, "push"), tuple[ChannelPushing, ...]),
        )[0]
    if as_json:
        print_json({"id": channel_id, "wanted": True, "verdict": one.verdict, "words": one.words})
    elif one.verdict.standing is Standing.PUSH_NOW:
        print(f"The running server pushes {channel_id} within a second or two.", file=sys.stderr)
    else:
        print(one.words, file=sys.stderr)


@app.command("explain")
def explain(
    channel_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A device's id or serial number, which explains its users, too, or a user channel's id."
        ),
    ],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a channel is pushed, why or why not, and what comes next. Times are UTC."""
    with open_office(data_dir, database, key_ring) as data:
        channel_id, now = data.channel(channel_id), data.now
        explained = data.ask(
            lambda here: here.view(lambda tx: explain_pushing(tx, ChannelId(channel_id), now), about=[channel_id]),
            lambda there: there.find(at("devices", channel_id, "push"), tuple[ChannelPushing, ...]),
        )
    if not explained:
        raise CommandFailed(
            f"no enrollment {channel_id} is known", remedy="See `muster devices list`.", code=ExitCode.ABSENT
        )
    if as_json:
        print_json(explained)
        return
    for place, one in enumerate(explained):
        if place:
            print()
        _print_channel(one, now)
    print("\nTimes are UTC.")


@app.command("status")
def status(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how pushing stands for the fleet, topic by topic. Times are UTC."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        found = data.ask(
            lambda here: here.view(lambda tx: push_status(tx, now)), lambda there: there.get("/push", PushStatus)
        )
    if as_json:
        print_json(found)
        return
    if not found.topics:
        print("There is no push certificate, and nobody to push: begin with `muster push-cert request`.")
        return
    for place, topic in enumerate(found.topics):
        if place:
            print()
        _print_topic(topic, now)


def _print_channel(one: ChannelPushing, now: datetime) -> None:
    print_told(f"{_name(one)}: {one.words}")
    print()
    for label, said in _facts(one.known, now):
        print_told(f"  {label:<14}{said}")
    print()
    if not one.pushes:
        print("  No push in the log.")
        return
    print_table(
        ("ANSWERED", "WHY", "ANSWER", "STATUS", "REASON", "MS", "WHAT FOLLOWED"),
        [_push(push) for push in one.pushes],
    )


def _name(one: ChannelPushing) -> str:
    device = one.name or one.serial_number or one.device_id
    name = device if one.channel_id == one.device_id else f"{one.user_short_name or one.channel_id} on {device}"
    return without_orders(name)  # a line break in it, too


def _facts(known: KnownOfPushing, now: datetime) -> list[tuple[str, str]]:
    """What the verdict rests on; what is not known is left out."""
    facts = [("wish", "none" if known.wish is None else wish_sentence(known.wish, now))]
    if known.wish is not None:
        facts.append(("next look", moment(known.wish.due_at, now)))
    declined = f", {known.declined} of them answered with NotNow" if known.declined else ""
    facts.append(("commands", f"{known.commands_waiting} waiting{declined}"))
    heard = "never" if known.last_contact_at is None else moment(known.last_contact_at, now)
    facts.append(("last contact", heard))
    target = known.target
    if target is not None:
        facts.append(("token", f"from the TokenUpdate of {moment(target.updated_at, now)}"))
        if target.refused_at is not None:
            times = "once" if target.refusals == 1 else f"{target.refusals} times"
            facts.append(("refused", f"on {moment(target.refused_at, now)}, {times} since that"))
        if target.throttled_until is not None and target.throttled_until > now:
            facts.append(("slowed until", moment(target.throttled_until, now)))
        if target.accepted_at is not None:
            unanswered = f", {target.unanswered} in a row without a contact between them"
            facts.append(
                ("accepted", f"{moment(target.accepted_at, now)}{unanswered if target.unanswered > 1 else ''}")
            )
    if known.last is not None:
        facts.append(("last answer", answer_sentence(known.last, now)))
    if known.topic is not None:
        facts.append(("topic", known.topic.topic))
        facts.append(("certificate", _certificate(known.topic, now)))
        if known.topic.breaker is not None:
            facts.append(("breaker", breaker_sentence(known.topic.topic, known.topic.breaker, now)))
    return facts


def _certificate(topic: TopicState, now: datetime) -> str:
    if topic.certificate_until is None:
        return "none"
    word = "in use until" if topic.certificate_until > now else "expired on"
    return f"{word} {moment(topic.certificate_until, now)}"


def _push(push: RecordedPush) -> tuple[object, ...]:
    outcome = push.outcome
    dead = "" if outcome.unregistered_at is None else f" since {_exact(outcome.unregistered_at)}"
    return (
        _exact(push.at),
        _words(push.wanted.value),
        _words(outcome.outcome_class.value),
        outcome.status or "none",
        f"{outcome.reason or ''}{dead}" or None,
        push.latency_ms,
        _words(push.consequence.value),
    )


def _print_topic(topic: TopicPushing, now: datetime) -> None:
    print_told(f"{topic.topic}: {_headline(topic, now)}")
    print()
    held = sum(topic.wishes_held.values())
    facts = {
        "enrollments": f"{topic.enrollments:,}",
        "pushes wanted": f"{topic.wishes_due:,} due, {topic.wishes_waiting:,} at their time, {held:,} held"
        f"{_counts(topic.wishes_held, ': ')}",
        "tokens refused": f"{sum(topic.tokens_refused.values()):,}{_counts(topic.tokens_refused, ': ')}",
        "last hour": f"{sum(topic.pushes_last_hour.values()):,}{_counts(topic.pushes_last_hour, ': ')}",
        "last day": f"{sum(topic.pushes_last_day.values()):,}{_counts(topic.pushes_last_day, ': ')}",
    }
    for label, said in facts.items():
        print_told(f"  {label:<16}{said}")


def _headline(topic: TopicPushing, now: datetime) -> str:
    if topic.certificate_until is None or topic.days_left is None:
        return "nobody is pushed, for there is no certificate; `muster push-cert upload` puts one into use."
    if topic.certificate_until <= now:
        return (
            f"nobody is pushed, for its certificate expired on {_exact(topic.certificate_until)}; renew that same one, "
            "and put it into use with `muster push-cert upload`."
        )
    left = f"its certificate has {topic.days_left} day{'' if topic.days_left == 1 else 's'} left"
    if topic.breaker_words:
        return f"{left}. {topic.breaker_words}"
    return f"pushed; {left}."


def _counts(counts: Mapping[str, int], before: str) -> str:
    said = ", ".join(f"{count:,} {_words(word)}" for word, count in sorted(counts.items(), key=lambda one: -one[1]))
    return f"{before}{said}" if said else ""


def _exact(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _words(value: str) -> str:
    return value.replace("_", " ")
