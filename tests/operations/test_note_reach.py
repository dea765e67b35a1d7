"""A device's own link: what was found by it is evidence of that device, shown, and decides nothing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fleet import add_device
from tests.support.site import Site

from muster.domain.access import DEVICE
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.reach import Reach, Way
from muster.operations.note_reach import LIFETIME, ReachLink, Visited, make_reach_links, note_visits
from muster.protocol.identifiers import ChannelId
from muster.storage import schema

MAC = ChannelId("MAC-1")
SEALED = Reach("198.51.100.7", Way.SEALED, (), is_through_proxy=False)
OPENED = Reach("198.51.100.8", Way.OPENED, ("via",), is_through_proxy=False)


@pytest.fixture
def link(site: Site) -> ReachLink:
    """The link of a device that there is."""
    add_device(site.engine, MAC)
    [made] = site.do(make_reach_links, MAC)
    assert isinstance(made, ReachLink)
    return made


def rows(site: Site) -> list[tuple[object, ...]]:
    columns = schema.evidence.c
    select = sa.select(columns.channel_id, columns.observed_class, columns.count, columns.source)
    return site.rows(select.where(columns.signal == "S18").order_by(columns.first_at, columns.id))


def test_what_was_found_is_kept_and_repeats_are_counted(site: Site, link: ReachLink) -> None:
    assert site.do(note_visits, Visited(link.token, SEALED), Visited(link.token, SEALED)) == [MAC, MAC]
    assert site.do(note_visits, Visited(link.token, OPENED)) == [MAC]

    assert sorted(rows(site), key=str) == [
        (MAC, "reached", 2, "198.51.100.7"),
        (MAC, "reached_opened", 1, "198.51.100.8"),
    ]


def test_a_link_ends(site: Site, link: ReachLink) -> None:
    site.runner.time += LIFETIME - timedelta(seconds=1)
    assert site.do(note_visits, Visited(link.token, SEALED)) == [MAC]
    site.runner.time += timedelta(seconds=1)

    [refusal] = site.do(note_visits, Visited(link.token, SEALED))

    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.LINK_UNKNOWN


def test_a_link_of_nobody_is_not_made(site: Site) -> None:
    [refusal] = site.do(make_reach_links, ChannelId("NOBODY"))

    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.NOT_FOUND


@pytest.mark.parametrize(
    "change", [lambda t: t[:-4], lambda t: "A" + t[1:], lambda t: t * 20, lambda _: "", lambda _: "é"]
)
def test_a_token_that_was_tampered_with_opens_nothing(site: Site, link: ReachLink, change: object) -> None:
    assert callable(change)
    token = change(link.token)
    token = token if token != link.token else "B" + token[1:]

    [refusal] = site.do(note_visits, Visited(token, SEALED))

    assert isinstance(refusal, Refusal)
    assert rows(site) == []


def test_noise_opens_nothing(site: Site, link: ReachLink) -> None:
    @given(st.text(max_size=200))
    def opens_nothing(token: str) -> None:
        [refusal] = site.do(note_visits, Visited(token, SEALED))
        assert isinstance(refusal, Refusal)

    opens_nothing()
    assert link.token not in repr(link)
    assert DEVICE.name == "device"
