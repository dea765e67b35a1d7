"""A version is another one whenever the page of its device shows something else."""

from collections.abc import Callable

import pytest
from tests.support.site import ADA, IPAD, MAC, Site, id_of

from muster.operations.ask_for_push import ask_for_push
from muster.operations.review_channels import review_channels
from muster.operations.views.freshness import device_versions, fleet_version
from muster.protocol.command import CommandRequest

DEVICES = (id_of(MAC), id_of(IPAD))


def both(site: Site) -> tuple[str, str]:
    versions = site.engine.read(lambda tx: device_versions(tx, DEVICES))
    return versions[DEVICES[0]], versions[DEVICES[1]]


CHANGES: dict[str, Callable[[Site], object]] = {
    "contact": lambda site: site.connect(site.mac),  # type: ignore[attr-defined]
    "command": lambda site: site.queue("C1"),
    "answer": lambda site: site.answers(site.mac, CommandRequest("ProfileList")),  # type: ignore[attr-defined]
    "user": lambda site: site.enroll(ADA, site.mac),  # type: ignore[attr-defined]
    "review": lambda site: site.do(review_channels, None),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_what_changes_a_page_changes_its_version_alone(site: Site, change: str) -> None:
    site.mac = site.enroll(MAC)  # type: ignore[attr-defined]
    site.enroll(IPAD)
    if change != "review":
        site.do(review_channels, None)
    site.wait(minutes=5)
    before = both(site)

    CHANGES[change](site)

    after = both(site)
    assert after[0] != before[0]
    assert (after[1] == before[1]) is (change != "review")


def test_nothing_changes_by_looking(site: Site) -> None:
    site.enroll(MAC)
    site.enroll(IPAD)

    assert both(site) == both(site)
    assert site.engine.read(fleet_version) == site.engine.read(fleet_version)


def test_unknown_devices_have_none(site: Site) -> None:
    site.enroll(MAC)
    site.do(ask_for_push, DEVICES[0])

    assert site.engine.read(lambda tx: device_versions(tx, ["UNKNOWN"])) == {}
    assert site.engine.read(lambda tx: device_versions(tx, [])) == {}


def test_the_fleet_has_another_version_once_somebody_is_held_to_be_something_else(site: Site) -> None:
    site.enroll(MAC)
    before = site.engine.read(fleet_version)

    site.do(review_channels, None)

    assert site.engine.read(fleet_version) != before
