"""A scenario played with everything taken down that each device said, when, and what came back."""

import base64
import plistlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from muster.crypto.cms.signed_data import verify_detached
from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.play import play_scenario
from muster.laboratory.scenario.played import Episode, Played
from muster.laboratory.scenario.reading import parse_scenario
from muster.laboratory.scenario.stage import Stage
from muster.protocol.errors import MalformedMessage
from muster.simulator.apns import Arrival
from muster.simulator.transport import Response

CHECK_IN, CONNECT = "/checkin", "/mdm"


@dataclass(frozen=True)
class Said:
    """One request that the server replied to. *what*: a MessageType, or the Status of a connect. *got*: the RequestType
    that it was handed; *answers*: the CommandUUID that it answers. *is_user*: on a channel of a user.
    *clock_error*: by how much the server's clock was wrong then."""

    at: timedelta
    path: str
    what: str
    status: int
    client: str
    is_user: bool = False
    user: str = ""
    udid: str = ""
    got: str = ""
    got_uuid: str = ""
    answers: str = ""
    endpoint: str = ""
    token: bytes = b""
    clock_error: timedelta = timedelta(0)
    signature: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def signed_at(self) -> datetime | None:
        """When its signature says that it was made."""
        if not self.signature:
            return None
        try:
            return verify_detached(base64.b64decode(self.signature), self.body, allow_legacy=True).signing_time
        except MalformedMessage:
            return None


@dataclass
class Watched:
    """What came of it. Times are spans since the beginning. *probe* runs beside it."""

    text: str
    seed: int = 1
    probe: Callable[[Stage], Coroutine[Any, Any, None]] | None = None
    stage: Stage = field(init=False)
    workers: frozenset[str] = field(init=False)
    played: Played = field(init=False)
    _said: dict[str, list[Said]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.played = play_scenario(parse_scenario(self.text), seed=self.seed, watch=self._look)

    def _look(self, stage: Stage) -> None:
        self.stage = stage
        self.workers = frozenset(loop.name for loop in stage.world.server.service.loops)
        for actor in stage.actors.values():
            self._tap(actor)
        if self.probe is not None:
            stage.world.background(self.probe(stage))

    def _tap(self, actor: Actor) -> None:
        said = self._said[actor.name] = []

        def note(url: str, headers: Mapping[str, str], body: bytes, response: Response) -> None:
            said.append(self._read(actor, url, headers, body, response))

        actor.inhabitant.transport.ledger.tap = note

    def _read(self, actor: Actor, url: str, headers: Mapping[str, str], body: bytes, response: Response) -> Said:
        path = urlsplit(url).path
        message = _plist(body)
        reply = _plist(response.body)
        return Said(
            at=self.since(self.stage.world.now()),
            path=path,
            what=str(message.get("MessageType") or message.get("Status") or ""),
            status=response.status,
            client=actor.inhabitant.transport.client[0],
            is_user="UserID" in message or "UserShortName" in message,
            user=str(message.get("UserShortName") or ""),
            udid=str(message.get("UDID") or ""),
            got=str(reply.get("Command", {}).get("RequestType", "")),
            got_uuid=str(reply.get("CommandUUID", "")),
            answers=str(message.get("CommandUUID", "")),
            endpoint=str(message.get("Endpoint", "")),
            token=bytes(message.get("Token", b"")),
            clock_error=self.stage.world.server.clock_error,
            signature=next((value for name, value in headers.items() if name.lower() == "mdm-signature"), ""),
            body=body,
        )

    def since(self, at: datetime) -> timedelta:
        """An instant as a span."""
        return at - self.played_from

    @cached_property
    def played_from(self) -> datetime:
        """When it began."""
        return self.stage.scenario.begins_at

    def said(
        self, device: str, begins: timedelta = timedelta(0), ends: timedelta = timedelta.max, path: str = ""
    ) -> list[Said]:
        """What a device said from *begins* to before *ends*."""
        return [one for one in self._said[device] if begins <= one.at < ends and one.path.startswith(path)]

    def words(self, device: str, begins: timedelta = timedelta(0), ends: timedelta = timedelta.max) -> list[str]:
        """What its messages were in that time."""
        return [one.what for one in self.said(device, begins, ends) if one.what]

    def pushes(self, device: str, begins: timedelta, ends: timedelta) -> list[Arrival]:
        """What APNs saw of pushes to any token that a device ever had."""
        tokens = self.stage.actors[device].device.presence.tokens
        arrivals = self.stage.world.arrivals
        return [one for one in arrivals if one.push.token in tokens and begins <= self.since(one.at) < ends]

    def refusals(self, device: str, begins: timedelta, ends: timedelta) -> set[str]:
        """By which reasons APNs refused them; "": it took some."""
        pushes = self.pushes(device, begins, ends)
        return {"" if one.refusal is None else one.refusal.reason for one in pushes}

    def heeded(self, device: str, begins: timedelta, ends: timedelta, within: timedelta) -> list[bool]:
        """Of each push that APNs took whether the device connected within that time."""
        taken = [one for one in self.pushes(device, begins, ends) if one.refusal is None]
        return [bool(self.said(device, self.since(one.at), self.since(one.at) + within, CONNECT)) for one in taken]

    def episodes(self, device: str) -> list[Episode]:
        """What befell a device."""
        return [one for one in self.played.episodes if one.device == device]

    def evidence(self, device: str) -> Mapping[str, int]:
        """What the server noted of it."""
        assert self.played.report is not None
        return self.played.report.device(device).evidence


def _plist(body: bytes) -> dict[str, Any]:
    try:
        read = plistlib.loads(body)
    except (plistlib.InvalidFileException, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
