"""Once a fault of ours is over in which devices could not reach us, whoever was woken in vain is called again."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW
from tests.support.site import Site

from muster.domain.access import SERVER
from muster.domain.control.own_side import EVERYTHING, Outage, Scope, ScopeKind
from muster.domain.control.reasons import Reason
from muster.domain.push_policy import PushReason
from muster.operations.call_again import end_outage
from muster.operations.watch_ourselves import Beginning, begin_beating
from muster.storage import outages, push
from muster.storage.engine import Transaction
from muster.storage.schema import push_targets

DAY = timedelta(days=1)
MDM, SCEP = (Scope(ScopeKind.ENDPOINT, f"{path}@node") for path in ("/mdm", "/scep"))


def push_one(site: Site, name: str, *, heard_before: timedelta) -> None:
    """A device to which APNs accepted a push two days ago."""
    fleet.add_device(site.engine, name, contacts=[NOW - heard_before])
    fleet.add_push_target(site.engine, name)
    accepted = sa.update(push_targets).where(push_targets.c.channel_id == name)
    values = {"accepted_at": NOW - 2 * DAY, "unanswered": 3}
    site.engine.write(lambda tx: tx.connection.execute(accepted.values(values)))


def called(site: Site) -> list[str]:
    wishes = site.engine.write(lambda tx: push.claim_due(tx, site.now + timedelta(seconds=1), 99))
    assert all(one.reason is PushReason.REACHABLE_AGAIN for one in wishes)
    return [one.channel_id for one in wishes]


@pytest.mark.parametrize(
    ("reason", "scope", "are_called"),
    [
        (Reason.OWN_DOWNTIME, EVERYTHING, True),
        (Reason.OWN_TLS_CHANGED, EVERYTHING, True),
        (Reason.OWN_PROXY_DROPS_IDENTITY, EVERYTHING, True),
        (Reason.OWN_ERRORS, MDM, True),
        (Reason.OWN_ERRORS, SCEP, False),
        (Reason.OWN_CLOCK_WRONG, EVERYTHING, False),
        (Reason.APNS_OUTAGE, Scope(ScopeKind.TOPIC, fleet.TOPIC), False),
    ],
)
def test_who_did_not_answer_is_called_again_where_devices_could_not_reach_us(
    site: Site, reason: Reason, scope: Scope, are_called: bool
) -> None:
    push_one(site, "away", heard_before=9 * DAY)
    push_one(site, "here", heard_before=timedelta(hours=1))
    fault = Outage("1", reason, scope, NOW - DAY, None, "it was so")
    context = site.runner.context()

    def end(tx: Transaction) -> list[bool]:
        outages.open_one(tx, fault)
        return [end_outage(tx, fault, context), end_outage(tx, fault, context)]

    assert site.engine.write(end) == [True, False]
    assert called(site) == (["away"] if are_called else [])


def test_after_a_downtime_who_did_not_answer_is_called_again_and_after_a_restart_nobody(site: Site) -> None:
    site.do(begin_beating, Beginning(("push",)), actor=SERVER)
    push_one(site, "away", heard_before=9 * DAY)
    site.wait(minutes=5)
    site.do(begin_beating, Beginning(("push",)), actor=SERVER)
    after_a_restart = called(site)
    site.wait(hours=5)
    site.do(begin_beating, Beginning(("push",)), actor=SERVER)

    assert after_a_restart == []
    assert called(site) == ["away"]
