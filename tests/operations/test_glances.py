"""Glances: a device that is well is known for it by little; whatever is on record of one has it thought about."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.operations.test_judge_channels import hold_push_certificate, judge
from tests.support.pushed_fleet import claim, record
from tests.support.site import IPAD, MAC, SOURCE, TOPIC, Site, authenticate, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import SiteRecord
from muster.domain.control.evidence import CLONED, ERASE_HANDED_OUT, Observation, Signal
from muster.domain.control.glance import glance_again_at, is_plainly_well, verdict_on
from muster.domain.control.own_side import EVERYTHING, Outage
from muster.domain.control.reasons import Reason
from muster.domain.control.review_schedule import ROUTINE
from muster.domain.inventory.kinds import InventoryKind
from muster.operations.judge_channels import reason_about
from muster.protocol.apns import OutcomeClass
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Status
from muster.storage import cohorts, dossiers, evidence, outages, renewals, schema, set_ups, verdicts
from muster.storage.dossiers import glances
from muster.storage.engine import Transaction

POLICY = ControlPolicy()
QUESTION = CommandRequest("DeviceInformation", {"Queries": ["OSVersion"]})


def settled(site: Site) -> SignerIdentity:
    """A device that enrolled, obeyed, and was judged since."""
    hold_push_certificate(site)
    identity = site.enroll()
    site.wait(minutes=1)
    site.answers(identity, QUESTION)
    judge(site)
    return identity


def is_well(site: Site) -> bool:
    """Whether the device is plainly well at a glance; the judge says so, too, if it is."""
    context, id_ = site.runner.context(), id_of(MAC)

    def look(tx: Transaction) -> bool:
        read = glances.read_glances(
            tx, [id_], renewals.read(tx, [id_]), dossiers.read_around(tx, context.now), context.now, context.policy
        )
        if read is None:
            return False
        seen = glances.glance(read, id_).seen
        if not is_plainly_well(seen, POLICY, context.now):
            return False
        reasoning = reason_about(tx, id_, context)
        assert reasoning is not None
        said = replace(reasoning.judgement.verdict, look_again_at=None, since=seen.last_proof_at)
        assert said == replace(verdict_on(seen, POLICY, context.now), look_again_at=None)
        assert glance_again_at(seen, POLICY, context.now) == context.now + ROUTINE
        return True

    return site.engine.read(look)


def test_device_that_obeyed_is_well_at_a_glance_and_its_proof_is_kept_as_it_grows(site: Site) -> None:
    identity = settled(site)
    before = site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)]
    site.wait(hours=20)
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["ModelName"]}))

    seen, judged = is_well(site), judge(site)

    after = site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)]
    assert (seen, judged.changes, judged.next_at[id_of(MAC)]) == (True, (), site.now + ROUTINE)
    proved = replace(before.verdict, proof_at=site.now)
    assert after == replace(before, verdict=proved, judged_at=site.now)


def test_device_that_was_never_judged_is_given_its_first_verdict_by_a_glance(site: Site) -> None:
    hold_push_certificate(site)
    identity = site.enroll()
    site.answers(identity, QUESTION)

    seen, (change,) = is_well(site), judge(site).changes

    held = site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)]
    assert seen
    assert (change.before, change.after.reason, held.verdict.reason) == (None, Reason.NONE, Reason.NONE)
    assert (held.change_id, held.verdict.since) == (change.id, site.now)


def note(signal: Signal, observed: str) -> Callable[[Site, SignerIdentity], None]:
    def happen(site: Site, identity: SignerIdentity) -> None:
        one = Observation(id_of(MAC), signal, observed, site.now, 1)
        site.engine.write(lambda tx: evidence.append(tx, [one], site.runner.context().new_id))

    return happen


def be_handed_and_silent(site: Site, identity: SignerIdentity) -> None:
    site.queue("one")
    site.connect(identity)


def wait_in_setup_assistant(site: Site, identity: SignerIdentity) -> None:
    site.engine.write(lambda tx: set_ups.begin(tx, id_of(MAC), epoch=1, since=site.now))


def have_a_double(site: Site, identity: SignerIdentity) -> None:
    site.check_in(authenticate(IPAD), site.identity())


def be_down(site: Site, identity: SignerIdentity) -> None:
    outage = Outage("1", Reason.OWN_DOWNTIME, EVERYTHING, site.now, None, "our server was down")
    site.engine.write(lambda tx: outages.open_one(tx, outage))


def be_at_a_silent_site(site: Site, identity: SignerIdentity) -> None:
    silent = SiteRecord(SOURCE, 6, 5, site.now, heard_elsewhere=1)
    site.engine.write(lambda tx: cohorts.store(tx, [silent], []))


def begin_anew(site: Site, identity: SignerIdentity) -> None:
    site.check_in(authenticate(MAC), identity)


def be_pushed_in_vain(site: Site, identity: SignerIdentity) -> None:
    at = site.wait(hours=1)
    pushed = sa.update(schema.push_targets).values(accepted_at=at)
    site.engine.write(lambda tx: tx.connection.execute(pushed))
    site.wait(minutes=20)


def bring_its_refused_token_again(site: Site, identity: SignerIdentity) -> None:
    site.check_in(token_update(MAC), identity)
    site.wait(minutes=1)
    record(site, claim(site), OutcomeClass.TOKEN_BAD, 400)
    site.wait(hours=1)
    site.check_in(token_update(MAC), identity)


def have_a_user_without_channel(site: Site, identity: SignerIdentity) -> None:
    def store(tx: Transaction) -> None:
        tx.connection.execute(sa.update(schema.device_facts).values(is_user_approved=True))
        tx.connection.execute(
            sa.insert(schema.inventory_items).values(
                channel_id=id_of(MAC),
                kind=InventoryKind.USER_LIST.value,
                identifier="ada",
                since=site.now,
                changed_at=site.now,
                detail={"IsLoggedIn": True},
            )
        )

    site.engine.write(store)


@pytest.mark.parametrize(
    "happen",
    [
        note(Signal.REFUSED_CONTACT, "identity_expired"),
        note(Signal.PROFILE_FETCHED, "automated_enrollment"),
        note(Signal.WITNESS, "agent"),
        note(Signal.OWN_ERROR, "record_lost"),
        note(Signal.AUTHENTICATE, CLONED),
        note(Signal.COMMAND_ANSWER, ERASE_HANDED_OUT),
        be_handed_and_silent,
        wait_in_setup_assistant,
        have_a_double,
        be_down,
        be_at_a_silent_site,
        begin_anew,
        be_pushed_in_vain,
        bring_its_refused_token_again,
        have_a_user_without_channel,
    ],
)
def test_device_of_which_anything_is_on_record_is_thought_about(
    site: Site, happen: Callable[[Site, SignerIdentity], None]
) -> None:
    identity = settled(site)
    was_well = is_well(site)

    happen(site, identity)

    assert (was_well, is_well(site)) == (True, False)


def answer_not_now(site: Site, identity: SignerIdentity) -> None:
    site.answers(identity, CommandRequest("ProfileList"), status=Status.NOT_NOW.value)


def update_its_token(site: Site, identity: SignerIdentity) -> None:
    site.check_in(token_update(MAC), identity)


def be_pushed_days_ago(site: Site, identity: SignerIdentity) -> None:
    at = site.wait(hours=1)
    site.connect(identity)
    pushed = sa.update(schema.push_targets).where(schema.push_targets.c.topic == TOPIC).values(accepted_at=at)
    site.engine.write(lambda tx: tx.connection.execute(pushed))
    for _ in range(3):
        site.wait(days=1)
        site.connect(identity)
    judge(site)


@pytest.mark.parametrize("happen", [answer_not_now, update_its_token, be_pushed_days_ago])
def test_what_says_nothing_against_a_device_keeps_it_well(
    site: Site, happen: Callable[[Site, SignerIdentity], None]
) -> None:
    identity = settled(site)

    happen(site, identity)

    assert is_well(site)
