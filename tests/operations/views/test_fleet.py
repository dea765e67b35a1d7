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
