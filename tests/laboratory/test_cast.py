"""The cast of a demonstration."""

from random import Random

from muster.laboratory.cast import Story, Way, make_cast
from muster.simulator.facts import Platform


def test_every_story_is_told_by_the_devices_that_come_first() -> None:
    cast = make_cast(25, Random(1))

    assert {part.story for part in cast[:9]} == set(Story)
    assert {part.story for part in cast[9:]} == {Story.NONE}


def test_every_device_is_another() -> None:
    cast = make_cast(200, Random(2))

    assert len({part.facts.udid for part in cast}) == len({part.facts.serial_number for part in cast}) == 200


def test_a_few_devices_already_show_two_ways_in() -> None:
    cast = make_cast(3, Random(4))

    assert {part.way for part in cast} == set(Way)


def test_macs_alone_have_users() -> None:
    cast = make_cast(25, Random(3))

    assert all((part.user is not None) == (part.facts.platform is Platform.MAC) for part in cast)
