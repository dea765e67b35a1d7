"""Sending a command to one device or user, and what became of it: its answer, live while it is awaited."""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import allows, to_send
from muster.edges.console.acting import Acting, Asked, go_to
from muster.edges.console.command_forms import (
    MAXIMUM_COMMAND_BYTES,
    Input,
    common_types,
    inputs_of,
    read_request,
)
from muster.edges.console.forms import Form, hidden
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.edges.console.subjects import Subject, nobody, not_meant, of_subject
from muster.edges.console.times import Clock
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.install_profiles import ProfileOrder, ProfileRemovalOrder, install_profiles, remove_profiles
from muster.operations.permit import of_devices
from muster.operations.ports import Runner
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.rotate_secrets import clear_passcodes
from muster.operations.views.commands import CommandDetails, show_command
from muster.protocol.catalogue.commands import command_names, find_command
from muster.protocol.catalogue.facts import CommandFacts
from muster.protocol.command import CommandRequest
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.protocol.plist import read_plist, write_plist

ERASE: Final = "EraseDevice"
SHOWN_CHARACTERS: Final = 100_000
"""Of an answer on its page; a list of all apps of a developer's Mac has as many."""
_SEALED: Final = "It holds a secret, and is shown to nobody."


def command_url(channel_id: ChannelId, request_type: str = "") -> str:
    """Return the page that sends commands to a channel."""
    query = f"?{urlencode({'type': request_type})}" if request_type else ""
    return f"/command/{quote(channel_id, safe='')}{query}"


def answer_url(command_uuid: CommandUUID, channel_id: ChannelId) -> str:
    """Return the page of one command on one channel."""
    return f"/answer/{quote(command_uuid, safe='')}/{quote(channel_id, safe='')}"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A form as it was typed, with what is wrong with it."""

    form: Form
    faults: dict[str, str]
    refusal: Refusal | None = None


class CommandPages:
    """The pages about commands to one channel."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/command/{channel_id:path}", self.page),
            Route("/command/{channel_id:path}", self.send, methods=["POST"]),
            Route("/answer/{command_uuid}/{channel_id:path}", self.answer),
            Route("/fragments/answer/{command_uuid}/{channel_id:path}", self.answer_fragment),
            Route("/cancel/{command_uuid}/{channel_id:path}", self.cancel, methods=["POST"]),
        )

    async def page(self, request: Request) -> Response:
        """Offer the commands that there are; of the one that `type` names, its form."""
        channel_id = ChannelId(request.path_params["channel_id"])
        signed_in = await self._sessions.read(request, of_subject(channel_id, self._runner.now()))
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        if signed_in.value is None:
            raise nobody(signed_in)
        return self._form(request, signed_in, signed_in.value, request.query_params.get("type", ""), None)

    async def send(self, request: Request) -> Response:
        """Send the command that was typed; where it can't be sent, show the form again as it was typed."""
        channel_id = ChannelId(request.path_params["channel_id"])
        asked = await self._acting.read(
            request, of_subject(channel_id, self._runner.now()), maximum_bytes=MAXIMUM_COMMAND_BYTES
        )
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        subject = asked.value
        if subject is None:
            raise nobody(asked.signed_in)
        request_type = asked.form["type"]
        if find_command(request_type) is None:
            return self._form(request, asked.signed_in, subject, request_type, None)
        read = read_request(request_type, asked.form)
        if not isinstance(read, CommandRequest):
            return self._form(request, asked.signed_in, subject, request_type, _Draft(asked.form, read))
        refusal = not_meant(subject, asked.form["serial"]) if request_type == ERASE else None
        outcome = refusal or await self._send(asked, subject, read)
        if isinstance(outcome, Refusal):
            return self._form(request, asked.signed_in, subject, request_type, _Draft(asked.form, {}, outcome))
        return go_to(answer_url(outcome.command_uuid, channel_id))

    async def _send(
        self, asked: Asked[Subject | None], subject: Subject, request: CommandRequest
    ) -> QueuedCommand | Refusal:
        who, to, anyway = asked.principal, (subject.channel_id,), asked.form["anyway"] == "yes"
        payload, identifier = request.keys.get("Payload"), request.keys.get("Identifier")
        if request.request_type == "InstallProfile" and isinstance(payload, bytes):
            sent = await self._acting.do(who, install_profiles, ProfileOrder(to, payload, anyway=anyway))
            return sent if isinstance(sent, Refusal) else sent.queued
        if request.request_type == "RemoveProfile" and isinstance(identifier, str):
            return await self._acting.do(who, remove_profiles, ProfileRemovalOrder(to, identifier, anyway=anyway))
        if request.request_type == "ClearPasscode" and "UnlockToken" not in request.keys:
            return await self._acting.do(who, clear_passcodes, DeviceId(subject.channel_id))
        return await self._acting.do(who, queue_commands, CommandOrder(to, request, anyway=anyway))

    def _form(
        self,
        request: Request,
        signed_in: SignedIn[Subject | None],
        subject: Subject,
        request_type: str,
        draft: _Draft | None,
    ) -> Response:
        command = find_command(request_type)
        role = signed_in.administrator.role
        inputs = [] if command is None else _inputs(command, draft)
        if request_type == "ClearPasscode":  # the token that is kept is put in for them
            inputs = [replace(one, is_required=False, help="the one that is kept, unless given") for one in inputs]
        context = {
            "banners": [],
            "subject": subject,
            "request_type": request_type,
            "command": command,
            "inputs": inputs,
            "common": list(common_types(lambda one: allows(role, to_send(one)))),
            "names": command_names(),
            "needs_role": not allows(role, to_send(request_type)),
            "is_erasure": request_type == ERASE,
            "refusal": draft and draft.refusal,
            "has_faults": bool(draft and draft.faults),
            "may_insist": draft is not None
            and draft.refusal is not None
            and draft.refusal.code is RefusalCode.COMMAND_UNFIT,
            "action": command_url(subject.channel_id),
            "hidden": hidden(self._sessions.token(request)),
        }
        status = 200 if draft is None else 409 if draft.refusal else 400
        return self._renderer.page("command.html", context, administrator=signed_in.administrator, status_code=status)

    async def answer(self, request: Request) -> Response:
        """Show what was sent, and what became of it."""
        return await self._answer(request, "answer.html")

    async def answer_fragment(self, request: Request) -> Response:
        """Show what changes of that."""
        return await self._answer(request, "_answer.html")

    async def _answer(self, request: Request, template: str) -> Response:
        channel_id = ChannelId(request.path_params["channel_id"])
        command_uuid = CommandUUID(request.path_params["command_uuid"])
        now = self._runner.now()
        subject_of = of_subject(channel_id, now)
        signed_in = await self._sessions.read(
            request,
            of_devices(
                [channel_id],
                lambda tx: (
                    subject_of.view(tx, None),
                    show_command(tx, command_uuid, channel_id) if command_uuid.isprintable() else None,
                ),
            ),
        )
        if signed_in is None:
            if template.startswith("_"):
                return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
            return self._sessions.ask_to_sign_in(request)
        subject, details = signed_in.value
        if subject is None or details is None or not details.rows:
            explanation = "No such command was ever queued for this device."
            return self._renderer.error(
                404, "There is no such command", explanation, "", administrator=signed_in.administrator
            )
        context = {
            "banners": [],
            "clock": Clock(now),
            "subject": subject,
            "row": details.rows[0],
            "details": details,
            "sent": _sent(details),
            "answer": _answered(details, channel_id),
            "fragment_url": f"/fragments{answer_url(command_uuid, channel_id)}",
            "again_url": command_url(channel_id, details.request_type),
            "cancel_url": f"/cancel{answer_url(command_uuid, channel_id).removeprefix('/answer')}",
            "hidden": hidden(self._sessions.token(request)),
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    async def cancel(self, request: Request) -> Response:
        """Take a command back on one channel."""
        channel_id = ChannelId(request.path_params["channel_id"])
        command_uuid = CommandUUID(request.path_params["command_uuid"])
        asked = await self._acting.read(request, of_subject(channel_id, self._runner.now()))
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        if not command_uuid.isprintable() or asked.value is None:
            raise nobody(asked.signed_in)
        done = await self._acting.do(asked.principal, cancel_commands, CancelOrder(command_uuid, (channel_id,)))
        refusal = done if isinstance(done, Refusal) else next((why for _, why in done.refused), None)
        return self._acting.refused(asked, refusal) if refusal else go_to(answer_url(command_uuid, channel_id))


def _inputs(command: CommandFacts, draft: _Draft | None) -> list[Input]:
    return inputs_of(command) if draft is None else inputs_of(command, draft.form, draft.faults)


def _sent(details: CommandDetails) -> str:
    return _SEALED if details.body is None else _readable(details.body)


def _answered(details: CommandDetails, channel_id: ChannelId) -> str | None:
    if channel_id not in details.answers:
        return None
    body = details.answers[channel_id]
    return _SEALED if body is None else _readable(body)


def _readable(body: bytes) -> str:
    """Write a property list as its text, cut where it is too long to be read by anybody."""
    try:
        text = write_plist(read_plist(body)).decode()
    except (MalformedMessage, ValueError, OverflowError):
        text = body.decode(errors="replace")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}\n… cut here"
