"""Bodies of forms that never come to their end: anybody may begin to send one, and keeps nothing of ours by it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.types import Message

from muster.edges.console import forms
from muster.edges.console.forms import BadForm, read_form
from muster.edges.console.uploads import read_upload


async def goes_away() -> Message:
    return {"type": "http.disconnect"}


async def says_nothing_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("then", [goes_away, says_nothing_more])
@pytest.mark.parametrize("read", [read_form, lambda request: read_upload(request, "session")])
def test_a_body_that_does_not_come_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
    then: Callable[[], Awaitable[Message]],
    read: Callable[[Request], Awaitable[object]],
) -> None:
    monkeypatch.setattr(forms, "BODY_SECONDS", 0.01)
    messages = [{"type": "http.request", "body": b"name=", "more_body": True}]

    async def receive() -> Message:
        return messages.pop() if messages else await then()

    async def scenario() -> None:
        scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": [], "query_string": b""}
        with pytest.raises(BadForm, match="did not come to its end"):
            await asyncio.wait_for(read(Request(scope, receive)), 30)

    asyncio.run(scenario())
