"""What of an address is handed on, and when it is looked at."""

import asyncio

import pytest
from tests.support.runner import InlineRunner

from muster.domain.webhooks import BodyFormat
from muster.edges.device.relay import MAXIMUM_PARAMETERS, MessageRelay
from muster.operations.manage_webhooks import WebhookOrder, add_webhooks
from muster.storage.sqlite import SqliteEngine


def relay(engine: SqliteEngine, *, is_wanted: bool = True) -> MessageRelay:
    return MessageRelay(InlineRunner(engine), is_wanted=is_wanted)


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (b"", {}),
        (b"site=north&site=south&x=", {"site": "north", "x": ""}),
        (b"a=%C3%BC+b", {"a": "ü b"}),
        (b"&".join([b"a=1"] * (MAXIMUM_PARAMETERS + 1)), {}),
        (b"\xff%zz", {"ÿ%zz": ""}),
        (b"a%00=b%00", {"a\ufffd": "b\ufffd"}),  # PostgreSQL keeps no NUL
    ],
)
def test_parameters_of_an_address_are_read(
    sqlite_engine: SqliteEngine, query: bytes, parameters: dict[str, str]
) -> None:
    assert relay(sqlite_engine).parameters(query) == parameters


def test_nothing_is_read_while_nobody_wants_it(sqlite_engine: SqliteEngine) -> None:
    assert relay(sqlite_engine, is_wanted=False).parameters(b"a=1") is None


def test_webhook_that_wants_messages_is_noticed(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    looking = MessageRelay(runner, is_wanted=False)
    order = WebhookOrder("nano", "https://nano.example/hook", format=BodyFormat.MICROMDM)
    asyncio.run(runner.write(add_webhooks, [order]))

    asyncio.run(looking.step())

    assert looking.is_wanted
