"""The server is killed at any moment, and nothing that it answered 200 is lost."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from random import Random

import sqlalchemy as sa
from tests.service.running import RunningServer
from tests.service.stage import Stage, together
from tests.support.command_line import CommandLine, push_files

from muster.bootstrap.data_directory import open_engine, read_key_ring
from muster.protocol.checkin import Authenticate, CheckinMessage, TokenUpdate, decode_checkin
from muster.protocol.connect import Status, looks_like_checkin, read_report_head
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.settings import Settings, read_settings
from muster.simulator.device import SimulatedDevice
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.transport import HttpTransport, Response
from muster.storage.engine import Transaction
from muster.storage.journal import read_journal
from muster.storage.schema import channels, push_targets, queue, reports

DEVICES = 8
KILLS = 2


class Record:
    """What devices said and what was answered, and the moment to kill."""

    def __init__(self) -> None:
        self.authenticated: set[ChannelId] = set()
        self.tokens: dict[ChannelId, list[bytes]] = defaultdict(list)
        """Of each channel the token that was accepted last, then those sent since: one of these is in force."""
        self.accepted: set[ChannelId] = set()
        self.reported: set[tuple[ChannelId, CommandUUID]] = set()
        self.queued: set[tuple[ChannelId, CommandUUID]] = set()
        self.bodies: set[bytes] = set()
        """Check-ins that were accepted."""
        self.until_kill = 0
        self.killed = threading.Event()

    def sent(self, message: CheckinMessage) -> None:
        if isinstance(message, TokenUpdate):
            self.tokens[message.channel.id].append(message.token)

    def answered(self, message: CheckinMessage, body: bytes) -> None:
        self.bodies.add(body)
        if isinstance(message, Authenticate):
            self.authenticated.add(message.channel.id)
        if isinstance(message, TokenUpdate):
            sent = self.tokens[message.channel.id]
            del sent[: sent.index(message.token)]
            self.accepted.add(message.channel.id)


class RecordingTransport:
    """Notes what was answered 2xx, and kills the server when enough was."""

    def __init__(self, transport: HttpTransport, record: Record, server: RunningServer) -> None:
        self._transport = transport
        self._record = record
        self._server = server

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        if method != "PUT":
            return await self._transport.send(method, url, headers, body)
        is_checkin = looks_like_checkin(headers["Content-Type"], body)
        if is_checkin:
            self._record.sent(decode_checkin(body))
        response = await self._transport.send(method, url, headers, body)
        if response.is_success:
            self._note(is_checkin, body)
        return response

    def _note(self, is_checkin: bool, body: bytes) -> None:
        record = self._record
        if is_checkin:
            record.answered(decode_checkin(body), body)
        else:
            head = read_report_head(body)
            if head.status is Status.ACKNOWLEDGED and head.command_uuid is not None:
                record.reported.add((head.channel.id, head.command_uuid))
        record.until_kill -= 1
        if record.until_kill == 0:
            self._server.kill_now()
            record.killed.set()


def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(
    place: tuple[str, ...], stage: Stage, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    where = ("--data-dir", str(data_dir), *place)
    muster, rng, record = CommandLine(*where), Random(4711), Record()
    muster.upload(push_files(tmp_path))
    settings = read_settings({"data_dir": data_dir, "database": place[1] if place else None}, {})
    with RunningServer(data_dir, *place, environment=stage.settings(tmp_path)) as server:
        url = muster.link(uses=1000)
        devices = [
            stage.device([Platform.MAC, Platform.IPHONE][n % 2], RecordingTransport(stage.transport(), record, server))
            for n in range(DEVICES)
        ]
        for _ in range(KILLS):
            record.until_kill = rng.randint(20, 60)
            lives = stage.begin(together([live_until_killed(device, url, record, rng) for device in devices]))
            send_until_killed(devices, muster, record)
            server.exit_code()
            lives.result(60)
            leave_half_a_record(data_dir)

            server.start()
            record.killed.clear()
            compare(settings, record)
        stage.play(stage.device(transport=RecordingTransport(stage.transport(), record, server)).open_link(url))
        compare(settings, record)
        assert record.reported, "nothing was answered before the kills: the test proves too little"


def leave_half_a_record(data_dir: Path) -> None:
    """What a power cut may leave at the end of the journal."""
    for journal in (data_dir / "journal").iterdir():
        with journal.open("ab") as file:
            file.write(b"\x00\x00\x10\x00half a record")


async def live_until_killed(device: SimulatedDevice, url: str, record: Record, rng: Random) -> None:
    """Enroll, then connect again and again, with a new push token now and then."""
    while not record.killed.is_set():
        if device.enrollment is None:
            try:
                await device.open_link(url)
            except EnrollmentFailed:
                await asyncio.sleep(0)
            continue
        if rng.random() < 0.2:
            await device.rotate_token()
        await device.connect()


def send_until_killed(devices: list[SimulatedDevice], muster: CommandLine, record: Record) -> None:
    while not record.killed.is_set():
        for device in devices:
            udid = ChannelId(device.facts.udid)
            if udid in record.accepted and not record.killed.is_set():
                record.queued.add((udid, muster.send(udid, "SecurityInfo")))


def compare(settings: Settings, record: Record) -> None:
    engine = open_engine(settings, connections=1)
    try:
        states, tokens, waiting, answered = engine.read(read_everything)
    finally:
        engine.close()
    ring = read_key_ring(settings.key_ring_path)
    files = sorted((settings.data_dir / "journal").glob("*.journal"))
    journaled = {one.body for file in files for one in read_journal(file, ring)}

    assert record.authenticated <= states.keys()
    assert {channel_id for channel_id in record.accepted if states[channel_id] != "enrolled"} == set()
    assert all(tokens[channel_id] in record.tokens[channel_id] for channel_id in record.accepted)
    assert record.reported <= answered
    assert record.queued <= waiting | answered
    assert record.bodies <= journaled


def read_everything(
    tx: Transaction,
) -> tuple[
    dict[ChannelId, str],
    dict[ChannelId, bytes],
    set[tuple[ChannelId, CommandUUID]],
    set[tuple[ChannelId, CommandUUID]],
]:
    execute = tx.connection.execute
    return (
        {row.id: row.state for row in execute(sa.select(channels.c.id, channels.c.state))},
        {row.channel_id: row.token for row in execute(sa.select(push_targets.c.channel_id, push_targets.c.token))},
        {(row.channel_id, row.command_uuid) for row in execute(sa.select(queue.c.channel_id, queue.c.command_uuid))},
        {
            (row.channel_id, row.command_uuid)
            for row in execute(sa.select(reports.c.channel_id, reports.c.command_uuid))
        },
    )
