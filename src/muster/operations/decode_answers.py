"""What devices answered is decoded before the transaction that learns from it: a list of applications may have
megabytes, and on SQLite every device waits for that transaction.
"""

from collections.abc import Sequence

from muster.domain.faults import Fault
from muster.domain.inventory.changes import digest_of
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.learned import InventoryAnswer
from muster.domain.inventory.reading import read_answer
from muster.operations.context import Context
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.connect import Report, Status, read_report
from muster.protocol.errors import MalformedMessage
from muster.protocol.records import record
from muster.storage import answers, reports
from muster.storage.answers import AnswerKey, StoredAnswer
from muster.storage.engine import Transaction


@record(frozen=True, slots=True)
class DecodedAnswer:
    """An answer, and the command that it answers. *faults* is what of it can't be read; nothing else of it is lost.

    *inventory* is what an acknowledged one says of the inventory; None where nothing of it was asked for.
    """

    request: CommandRequest
    report: Report
    faults: tuple[Fault, ...]
    inventory: InventoryAnswer | None


@record(frozen=True, slots=True)
class PreparedAnswer:
    """An answer to be read: what was *decoded* of what was *stored*, a Fault where nothing can be.

    Both absent: it is decoded when it is read. So is one that is not stored as it was any more.
    """

    key: AnswerKey
    stored: StoredAnswer | None = None
    decoded: DecodedAnswer | Fault | None = None


def prepare_answers(tx: Transaction, keys: Sequence[AnswerKey]) -> list[PreparedAnswer]:
    """Decode answers, in the order of *keys*, of which none is held. Those that hold a secret stay sealed until they
    are read, and those that wait no more are not there."""
    found = answers.find(tx, keys)
    requests: dict[bytes, CommandRequest] = {}  # a question goes to many
    prepared = []
    for key in keys:
        stored = found.get(key)
        if stored is None or stored.is_sealed or stored.command_is_sealed:
            prepared.append(PreparedAnswer(key))
        else:
            prepared.append(PreparedAnswer(key, stored, _decode(stored.command, stored.body, requests)))
    return prepared


def decode_answer(stored: StoredAnswer, ctx: Context) -> DecodedAnswer | Fault:
    """Open an answer and its command where they are sealed, and decode them; a Fault where nothing can be read."""
    command, body = stored.command, stored.body
    if command is not None and stored.command_is_sealed:
        command = ctx.open(command, table="commands", column="body", row=stored.key.command_uuid)
    if body is not None and stored.is_sealed:
        row = reports.report_row(stored.key.channel_id, stored.key.command_uuid)
        body = ctx.open(body, table="reports", column="body", row=row)
    return _decode(command, body, {})


def _decode(command: bytes | None, body: bytes | None, requests: dict[bytes, CommandRequest]) -> DecodedAnswer | Fault:
    """Decode an answer; *requests* are the commands that were decoded before, by their bytes."""
    if body is None or command is None:
        return Fault("", "its command is not known")
    try:
        report, unread = read_report(body)
    except MalformedMessage as error:
        return Fault("", f"it can't be decoded: {error}")
    request = requests.get(command)
    if request is None:
        sent = decode_command(command)
        request = requests[command] = CommandRequest(sent.request_type, sent.keys)
    return DecodedAnswer(request, report, tuple(Fault("", one) for one in unread), _inventory(request, report))


def _inventory(request: CommandRequest, report: Report) -> InventoryAnswer | None:
    if report.head.status is not Status.ACKNOWLEDGED or request.request_type not in set(InventoryKind):
        return None
    learned, faults = read_answer(InventoryKind(request.request_type), request.keys, report.answer)
    return InventoryAnswer(learned, faults, b"" if learned is None else digest_of(learned))
