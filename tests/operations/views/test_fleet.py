"""The fleet in figures, on both engines."""

from datetime import timedelta

from tests.support import fleet
from tests.support.runner import NOW

from muster.operations.views.fleet import fleet_figures, push_certificate_ends
from muster.storage.engine import Engine


def test_enrolled_devices_count_user_enrollments_and_no_user_channels(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    fleet.add_device(engine, "B", kind="User Enrollment (Device)")
    fleet.add_device(engine, "C", state="ended")
    fleet.add_user(engine, "A", "U1", "ana")
    fleet.add_command(engine, "A", "c1")

    figures = engine.read(fleet_figures)

    assert figures.enrolled_devices == 2
    assert figures.channels["User", "enrolled"] == 1
    assert figures.commands_waiting == 1


def test_push_certificates_are_told_by_topic(engine: Engine) -> None:
    fleet.add_push_certificate(engine, NOW + timedelta(days=5))

    assert engine.read(push_certificate_ends) == {"com.apple.mgmt.External.test": NOW + timedelta(days=5)}


def test_what_keeps_pushes_back_is_counted(engine: Engine) -> None:
    for name, refused_at in (("A", None), ("B", NOW)):
        fleet.add_device(engine, name)
        fleet.add_push_target(engine, name, "token_unregistered" if refused_at else None, refused_at)
        fleet.add_push_wish(engine, name, due_at=NOW, held_because=None if refused_at else "no_certificate")
    fleet.add_push_breaker(engine, is_open=True)

    figures = engine.read(fleet_figures)

    assert (figures.pushes_wanted, figures.pushes_held) == (2, {"no_certificate": 1})
    assert figures.tokens_refused == {"token_unregistered": 1}
    assert [breaker.is_open for breaker in figures.push_breakers.values()] == [True]
