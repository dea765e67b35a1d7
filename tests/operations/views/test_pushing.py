"""Why a channel is pushed or not, read on both engines."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW

from muster.domain.push_policy import NoPush
from muster.domain.push_standing import Standing
from muster.operations.views.pushing import ChannelPushing, explain_pushing, pushing_of_device, recent_pushes
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId
from muster.storage import schema
from muster.storage.engine import Engine

HOUR = timedelta(hours=1)


def _explain(engine: Engine, channel_id: str, limit: int = 20) -> tuple[ChannelPushing, ...]:
    return engine.read(lambda tx: explain_pushing(tx, ChannelId(channel_id), NOW, limit=limit))


@pytest.fixture
def device(engine: Engine) -> str:
    """An enrolled Mac with a token, whose topic can be pushed."""
    fleet.add_device(engine, "A", name="Ana’s Mac", serial_number="C02XX1", contacts=[NOW - 5 * HOUR])
    fleet.add_push_target(engine, "A", "accepted")
    fleet.add_push_certificate(engine, NOW + timedelta(days=5))
    return "A"


def test_nobody_is_explained_by_nothing(engine: Engine) -> None:
    assert _explain(engine, "nobody") == ()


def test_a_device_brings_its_users_and_a_user_comes_alone(engine: Engine, device: str) -> None:
    user = fleet.add_user(engine, device, "0-U", "ana")

    explained = _explain(engine, device)

    assert [one.channel_id for one in explained] == [device, user]
    assert [one.verdict.because for one in explained] == [None, NoPush.NO_TOKEN]
    assert [one.name for one in explained] == ["Ana’s Mac", "Ana’s Mac"]
    assert [one.user_short_name for one in _explain(engine, user)] == ["ana"]


def test_a_wish_is_explained_with_what_waits(engine: Engine, device: str) -> None:
    fleet.add_command(engine, device, "c1")
    fleet.add_push_wish(engine, device, due_at=NOW - HOUR)

    (one,) = _explain(engine, device)

    assert one.verdict.standing is Standing.PUSH_NOW
    assert one.known.commands_waiting == 1
    assert one.known.wish is not None
    assert one.known.wish.due_at == NOW - HOUR
    assert one.words.startswith("Pushed now, for a command was queued")


def test_a_refused_token_is_explained_by_the_log(engine: Engine, device: str) -> None:
    _refuse(engine, device, at=NOW - HOUR, since=NOW - 30 * HOUR)

    (one,) = _explain(engine, device)

    assert one.known.refusal is not None
    assert (one.known.refusal.status, one.known.refusal.unregistered_at) == (410, NOW - 30 * HOUR)
    assert "(410 Unregistered since 21 Nov 08:31)" in one.words


def test_a_refusal_that_the_log_forgot_is_still_a_refusal(engine: Engine, device: str) -> None:
    _set_target(engine, device, refused_at=NOW - HOUR, refusals=1)

    (one,) = _explain(engine, device)

    assert (one.verdict.because, one.known.refusal) == (NoPush.TOKEN_REFUSED, None)


@pytest.mark.parametrize("is_open", [True, False])
def test_the_topics_breaker_holds_only_when_it_is_open(engine: Engine, device: str, is_open: bool) -> None:
    fleet.add_push_breaker(engine, is_open=is_open)
    fleet.add_push_wish(engine, device, due_at=NOW)

    (one,) = _explain(engine, device)

    assert one.verdict.because is (NoPush.BREAKER_OPEN if is_open else None)
    assert one.known.topic is not None
    assert one.known.topic.breaker is not None


def test_the_last_pushes_come_newest_first_and_no_more_than_asked_for(engine: Engine, device: str) -> None:
    for hours in range(5):
        fleet.add_push(engine, device, "accepted", NOW - hours * HOUR)

    (one,) = _explain(engine, device, limit=2)

    assert [push.at for push in one.pushes] == [NOW, NOW - HOUR]


def test_an_outcome_of_a_newer_server_is_passed_over(engine: Engine, device: str) -> None:
    _set_target(engine, device, last_outcome="invented")

    (one,) = _explain(engine, device)

    assert one.known.last is None


def test_a_devices_channels_are_explained_without_the_log(engine: Engine, device: str) -> None:
    fleet.add_push(engine, device, "accepted")

    explained = engine.read(lambda tx: pushing_of_device(tx, ChannelId(device), NOW))

    assert [one.pushes for one in explained.values()] == [()]
    assert explained[ChannelId(device)].known.last is not None


def test_recent_pushes_are_bounded_and_say_whose_contact_came_after_them(engine: Engine, device: str) -> None:
    user = fleet.add_user(engine, device, "0-U", "ana")
    fleet.add_device(engine, "B")
    fleet.add_push(engine, "B", "accepted", NOW)
    fleet.add_push(engine, user, "accepted", NOW - 7 * HOUR)
    for hours in (1, 6, 9, 90):
        fleet.add_push(engine, device, "accepted", NOW - hours * HOUR)

    since = NOW - timedelta(days=2)
    recent = engine.read(lambda tx: recent_pushes(tx, ChannelId(device), since=since, limit=3))

    assert [(push.channel_id, push.at, push.is_answered) for push in recent] == [
        (device, NOW - HOUR, False),
        (device, NOW - 6 * HOUR, True),
        (user, NOW - 7 * HOUR, False),
    ]


def _refuse(engine: Engine, channel_id: str, *, at: datetime, since: datetime) -> None:
    fleet.add_push(
        engine,
        channel_id,
        OutcomeClass.TOKEN_UNREGISTERED,
        at,
        status=410,
        reason="Unregistered",
        unregistered_at=since,
        consequence="stopped",
    )
    _set_target(engine, channel_id, refused_at=at, refusals=1)


def _set_target(engine: Engine, channel_id: str, **values: object) -> None:
    target = schema.push_targets
    engine.write(
        lambda tx: tx.connection.execute(sa.update(target).where(target.c.channel_id == channel_id).values(**values))
    )
