"""How the fleet stood is kept when a day has ended, also of days on which no node ran."""

from tests.support.site import MAC, Site

from muster.domain.control.silence_clock import day_of
from muster.operations.measure_control import CAUGHT_UP, keep_control_days
from muster.operations.review_channels import review_channels
from muster.storage import control_days


def kept(site: Site) -> list[int]:
    days = site.engine.read(lambda tx: control_days.read(tx, 0))
    return [day - day_of(site.now) for day in days]


def test_days_are_kept_from_the_first_verdict_on_and_made_up_for(site: Site) -> None:
    site.enroll(MAC)
    site.do(keep_control_days, site.now)
    before = kept(site)
    site.do(review_channels, None)
    site.wait(days=3)
    site.do(keep_control_days, site.now)
    caught_up = kept(site)
    site.wait(hours=1)
    site.do(keep_control_days, site.now)
    site.wait(days=CAUGHT_UP + 5)
    site.do(keep_control_days, site.now)

    assert before == []
    assert caught_up == [-3, -2, -1]
    assert kept(site)[-CAUGHT_UP - 1 :] == [-CAUGHT_UP - 6, *range(-CAUGHT_UP, 0)]
