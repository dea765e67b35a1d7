"""A network user logs in to a simulated Mac: the two steps of UserAuthenticate.

Sources: Apple, "User Authenticate". How the password goes into the answer is not published in every detail; this one
takes the method and the path of its own request.
"""

from urllib.parse import urlsplit

from muster.protocol.checkin import UserAuthenticate
from muster.protocol.checkin_replies import UserAuthenticateReply, read_user_authenticate_reply
from muster.protocol.errors import MalformedMessage
from muster.protocol.user_digest import make_digest_answer
from muster.simulator.enrollment import Line
from muster.simulator.machine import Machine
from muster.simulator.transport import ConnectionLost


async def authenticate_user(device: Machine, line: Line, password: str) -> bool:
    """Ask the server whether it manages the user of *line*, and show it *password* if it asks for that.

    True: the user's channel may open, with the token of `Line.auth_token` if there is one. Raises nothing.
    """
    line.auth_token = None
    assert line.user is not None, "a device is no user"
    challenged = await _step(device, line, None)
    if challenged is None or challenged.digest_challenge is None:
        return False
    if not challenged.digest_challenge:
        return await _step(device, line, f'Digest username="{line.user.short_name}"') is not None
    uri = urlsplit(device.enrolled().checkin_url).path or "/"
    try:
        answer = make_digest_answer(challenged.digest_challenge, line.user.short_name, password, uri=uri)
    except MalformedMessage:
        return False
    given = await _step(device, line, answer)
    line.auth_token = (given.auth_token or None) if given is not None else None
    return line.auth_token is not None


async def _step(device: Machine, line: Line, answer: str | None) -> UserAuthenticateReply | None:
    """One step; None when the server does not manage the user, or could not be asked."""
    try:
        response = await device.check_in(UserAuthenticate(line.identifiers, line.channel, answer))
        return read_user_authenticate_reply(response.body) if response.is_success else None
    except (ConnectionLost, MalformedMessage):
        return None
