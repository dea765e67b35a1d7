"""What befalls sites and APNs, by primitive: each begins it, and returns how it is undone."""

from datetime import timedelta
from typing import Final

from muster.laboratory.scenario.acts.parts import Act
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.laboratory.server import TOPIC
from muster.simulator.apns_weather import Condition, Drop, Effect, Refuse, Slow, Throttle, Unreachable


def _site_fault(kind: str) -> Act:
    async def act(stage: Stage, deed: Deed) -> Undo:
        state = deed.place
        state.faults[kind] += 1
        stage.refresh_site(state)

        async def undo() -> None:
            state.faults[kind] -= 1
            stage.refresh_site(state)

        return undo

    return act


def _let_hold(stage: Stage, condition: Condition) -> Undo:
    weather = stage.world.apns.weather
    weather.add(condition)

    async def undo() -> None:
        weather.remove(condition)

    return undo


def _of_topic(stage: Stage, effect: Effect) -> Undo:
    return _let_hold(stage, Condition(effect, begins_at=stage.world.now(), topics=frozenset({TOPIC})))


async def _of_tokens_now(stage: Stage, deed: Deed, effect: Effect) -> Undo | None:
    """Let *effect* hold for the tokens that a device has now, and not for those it gets later."""
    await stage.when_enrolled(deed)
    tokens = deed.one.tokens()
    if not tokens:
        deed.notes.append("it had no token")
        return None
    return _let_hold(stage, Condition(effect, begins_at=stage.world.now(), tokens=tokens))


def _of_all_tokens(stage: Stage, deed: Deed, effect: Effect) -> Undo:
    """Let *effect* hold for every token of a device, those it will get included; of no device, for the whole topic."""
    if deed.actor is None:
        return _of_topic(stage, effect)
    undoes: list[Undo] = []

    def cover(token: bytes) -> None:
        begins_at = stage.world.now()
        undoes.append(_let_hold(stage, Condition(effect, begins_at=begins_at, tokens=frozenset({token}))))

    for token in sorted(deed.actor.tokens()):
        cover(token)
    heeds = deed.actor.device.presence.on_token
    heeds.append(cover)

    async def undo() -> None:
        heeds.remove(cover)
        for one in undoes:
            await one()

    return undo


async def _outage(stage: Stage, deed: Deed) -> Undo | None:
    if deed.site is not None:
        return await _site_fault("outage")(stage, deed)
    reason = deed.text("reason")
    effect: Effect = Unreachable() if reason == "unreachable" else Refuse(reason)
    return _let_hold(stage, Condition(effect, begins_at=stage.world.now()))


async def _slow(stage: Stage, deed: Deed) -> Undo | None:
    delay = deed.span("delay") or timedelta(0)
    if deed.site is None:
        return _let_hold(stage, Condition(Slow(delay.total_seconds()), begins_at=stage.world.now()))
    state = deed.site
    state.delays.append(delay)
    stage.refresh_site(state)

    async def undo() -> None:
        state.delays.remove(delay)
        stage.refresh_site(state)

    return undo


async def _lose_requests(stage: Stage, deed: Deed) -> Undo:
    share = deed.share("lost")
    losses = deed.one.losses if deed.site is None else deed.site.losses

    def refresh() -> None:
        if deed.site is None:
            deed.one.refresh()
        else:
            stage.refresh_site(deed.site)

    losses.append(share)
    refresh()

    async def undo() -> None:
        losses.remove(share)
        refresh()

    return undo


async def _unregister(stage: Stage, deed: Deed) -> Undo | None:
    return await _of_tokens_now(stage, deed, Refuse("Unregistered", stage.world.now()))


async def _stale_unregister(stage: Stage, deed: Deed) -> Undo | None:
    long_ago = stage.scenario.begins_at - timedelta(days=30)
    return await _of_tokens_now(stage, deed, Refuse("Unregistered", long_ago))


async def _reject(stage: Stage, deed: Deed) -> Undo | None:
    return _of_all_tokens(stage, deed, Refuse(deed.text("reason")))


async def _throttle(stage: Stage, deed: Deed) -> Undo | None:
    seconds = (deed.span("in") or timedelta(hours=1)).total_seconds()
    return _of_all_tokens(stage, deed, Throttle(deed.number("pushes"), max(1.0, seconds)))


async def _drop_wrong_topic(stage: Stage, deed: Deed) -> Undo | None:
    return _of_all_tokens(stage, deed, Drop())


NETWORK_ACTS: Final[dict[str, Act]] = {
    "block_apns": _site_fault("block_apns"),
    "block_server": _site_fault("block_server"),
    "intercept_tls": _site_fault("intercept_tls"),
    "outage": _outage,
    "slow": _slow,
    "lose_requests": _lose_requests,
    "unregister": _unregister,
    "stale_unregister": _stale_unregister,
    "reject": _reject,
    "throttle": _throttle,
    "drop_wrong_topic": _drop_wrong_topic,
}
