"""A push certificate that nobody renews is told about in time, and one that is renewed no more."""

from datetime import timedelta

from structlog.testing import capture_logs

from muster.laboratory.world import World, play

DAY = timedelta(days=1)


def test_end_of_a_push_certificate_is_told_step_by_step_until_it_is_renewed() -> None:
    told: list[list[tuple[str, int]]] = []

    async def scene(world: World) -> None:
        for sleep in (5.5 * DAY, 30 * DAY):
            with capture_logs() as logs:
                await world.sleep(sleep)
            said = [log for log in logs if log["event"].startswith("push_certificate_")]
            told.append([(log["event"].removeprefix("push_certificate_"), log["days_left"]) for log in said])
            await world.server.upload_push_certificate(365 * DAY)

    play(scene, seed=1, push_certificate_lifetime=8 * DAY)

    assert told == [[("expiring", 8), ("expiring", 7), ("expiring", 3)], []]
