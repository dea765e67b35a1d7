"""The manual says what the code does."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from muster.cli.manual import push_times, query_fields, settings_page, simulator_page
from muster.cli.recovery_page import recovery_page
from muster.cli.verdicts_page import verdicts_page
from muster.crypto.jws import public_jwk, sign_compact
from muster.domain.control.reasons import REASONS
from muster.domain.control.transitions import diagram
from muster.domain.events import EventType
from muster.domain.push_breaker import BreakerCause
from muster.domain.push_policy import NoPush, PushReason
from muster.domain.push_standing import Standing
from muster.domain.queries.parser import parse_query
from muster.domain.webhooks import signature_header
from muster.protocol.apns import OutcomeClass
from muster.simulator.keys.published import published_keys
from muster.simulator.responders import RESPONDERS

MANUAL = Path(__file__).parents[2] / "docs" / "manual"


def test_the_page_of_settings_is_the_list_of_settings() -> None:
    page = (MANUAL / "settings.md").read_text()

    assert page == settings_page(), "run `make manual`"


def test_the_page_of_recovery_is_what_the_playbooks_say() -> None:
    page = (MANUAL / "recovery.md").read_text()

    assert page == recovery_page(), "run `make manual`"


def test_the_fields_of_queries_are_those_of_the_code() -> None:
    assert query_fields() in (MANUAL / "queries.md").read_text(), "put in what query_fields() returns"


def test_the_examples_of_queries_are_queries() -> None:
    page = (MANUAL / "queries.md").read_text()
    examples = re.findall(r'--where "(.+?)"', page) + re.findall(r"^    (.+)$", page, re.MULTILINE)

    assert len(examples) > 10
    for example in examples:
        parse_query(example)


def test_the_queries_of_the_page_about_control_are_queries() -> None:
    examples = re.findall(r'--where "(.+?)"', (MANUAL / "control.md").read_text())

    assert len(examples) >= 4
    for example in examples:
        parse_query(example)


def test_the_times_of_pushing_are_those_of_the_code() -> None:
    assert push_times() in (MANUAL / "push.md").read_text(), "put in what push_times() returns"


@pytest.mark.parametrize("words", [Standing, PushReason, NoPush, OutcomeClass, BreakerCause])
def test_every_word_about_pushing_has_a_row_in_its_page(words: type[StrEnum]) -> None:
    page = (MANUAL / "push.md").read_text()

    assert [word.value for word in words if f"| `{word.value}` |" not in page] == []


def test_the_page_of_simulated_devices_names_every_command_that_they_answer() -> None:
    page = (MANUAL / "simulator.md").read_text()

    assert page == simulator_page(), "run `make manual`"
    assert len(RESPONDERS) >= 40
    assert [name for name in RESPONDERS if f"| `{name}` |" not in page] == []


def test_the_page_of_verdicts_is_what_the_rules_say() -> None:
    page = (MANUAL / "verdicts.md").read_text()

    assert page == verdicts_page(), "run `make manual`"
    assert [reason.value for reason in REASONS if f"`{reason.value}`:" not in page] == ["none"]
    assert diagram() in page


def test_the_page_of_webhooks_names_every_event() -> None:
    page = (MANUAL / "webhooks.md").read_text()

    assert [one.value for one in EventType if f"`{one.value}`" not in page] == []


def python_of(page: str) -> str:
    """The only program in Python on a page."""
    (program,) = re.findall(r"```python\n(.*?)```", (MANUAL / page).read_text(), re.DOTALL)
    return str(program)


def test_the_example_that_checks_a_webhook_does_so() -> None:
    example: dict[str, Any] = {}
    exec(python_of("webhooks.md"), example)
    is_genuine = example["is_genuine"]
    now = datetime.now(UTC)
    header = signature_header(["new", "old"], now, b"{}")

    assert is_genuine("new", header, b"{}")
    assert is_genuine("old", header, b"{}")
    assert not is_genuine("other", header, b"{}")
    assert not is_genuine("new", header, b"{ }")
    assert not is_genuine("new", signature_header(["new"], now - timedelta(hours=1), b"{}"), b"{}")


def test_the_example_that_verifies_a_token_does_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, other = published_keys()[:2]
    jwk = public_jwk(key.public_key())
    token = sign_compact(key, {"kid": jwk["kid"]}, {"iss": "https://mdm.example"})
    forged = sign_compact(other, {"kid": jwk["kid"]}, {"iss": "https://mdm.example"})
    monkeypatch.setattr("urllib.request.urlopen", lambda _url: io.StringIO(json.dumps({"keys": [jwk]})))

    monkeypatch.setattr("sys.argv", ["verify", token])
    exec(python_of("signals.md"), {})
    monkeypatch.setattr("sys.argv", ["verify", forged])
    with pytest.raises(InvalidSignature):
        exec(python_of("signals.md"), {})

    assert json.loads(capsys.readouterr().out) == {"iss": "https://mdm.example"}
