"""Commands ask a server elsewhere, and say the same as beside the data: word for word, as text and as JSON."""

import plistlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.cli.test_application import parameters
from tests.operations.test_adopt_profiles import THEIRS
from tests.support.command_line import CommandLine, push_files
from tests.support.elsewhere import Circumstances, FarCommandLine, held_still, serving, token_of

from muster.cli.places import ASKS_NOBODY, ELSEWHERE, HERE_ALONE
from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.protocol.profile import encode_enrollment_profile
from muster.storage import recoveries
from muster.storage.engine import Transaction
from muster.storage.recoveries import Recovery

PROFILE = {
    "PayloadType": "Configuration",
    "PayloadVersion": 1,
    "PayloadIdentifier": "org.example.wifi",
    "PayloadUUID": "7D0E3C5A-0000-4000-8000-000000000001",
    "PayloadDisplayName": "Wi-Fi",
    "PayloadContent": [],
}
PREPARED: tuple[tuple[str, ...], ...] = (
    ("groups", "create", "macs", "--where", "platform = 'macOS'"),
    ("groups", "create", "hands"),
    ("groups", "add", "hands", MAC),
    ("commands", "send", MAC, "DeviceInformation", "--set", "Queries[]=OSVersion"),
    ("commands", "send", USER, "ProfileList"),
    ("act", "push", "--where", "id is known", "--yes"),
    ("webhooks", "add", "old", "https://receiver.example/"),
    ("admins", "link", "ana"),
    ("tokens", "create", "former"),
    ("enroll", "link", "--note", "a link"),
    ("witnesses", "add", "old", "--kind", "agent"),
    ("signals", "receiver", "add", "old", "--audience", "https://old.example/"),
    ("return-to-service", "allow", MAC, "--yes"),
    ("users", "add", "old@example.org", "--password-stdin"),
)
"""What was done before, so that there is something to show; and a recovery of the Mac was begun."""

CASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "act group": (
        ("hands", "--where", "state is known", "--yes"),
        ("hands", "--where", "id is known", "--dry-run"),
        ("macs", "--where", "id is known"),
        ("nothing", "--where", "id is known"),
    ),
    "act inventory": (("--where", "id is known", "--yes"), ("--where", "nonsense")),
    "act list": ((),),
    "act push": (
        ("--where", "platform = 'macOS'", "--dry-run"),
        ("--where", "state is known", "--yes"),
        ("--where", "state = 'ended'"),
        ("--where", "nonsense", "--dry-run"),
    ),
    "act recover": (("--where", "id is known", "--yes"), ("--where", "id is known", "--dry-run")),
    "commands cancel": (("UUID",), ("UUID", MAC), ("--all",), ()),
    "commands clear": ((MAC,), ("NOBODY",)),
    "commands held": ((),),
    "commands list": ((MAC,), (USER,), ("NOBODY",)),
    "commands pause": ((MAC, "--reason", "repair"), (MAC, "--reason", " "), ("NOBODY", "--reason", "repair")),
    "commands release": (("--all",), ("NONE",)),
    "commands resume": ((MAC,), ("NOBODY",)),
    "commands show": (("UUID",), ("UUID", MAC), ("UUID", USER), ("NONE",)),
    "commands send": (
        (MAC, "ProfileList"),
        (MAC, "InstallProfile", "--set", "Payload=@FILE"),
        (MAC, "DeviceLock", "--set", "PIN=483920", "--priority", "5", "--expires", "3d", "--retries", "2"),
        (MAC, "ProfileList", "--after", "NONE"),
        (MAC, "Nonsense"),
        ("NOBODY", "ProfileList"),
        ("--where", "platform = 'macOS'", "ProfileList", "--dry-run"),
        ("--where", "state = 'enrolled'", "ProfileList", "--users", "--yes"),
        ("--where", "state = 'enrolled'", "SecurityInfo", "--yes"),
        ("--where", "state = 'enrolled'", "RestartDevice", "--yes"),
        ("--where", "state = 'enrolled'", "RestartDevice", "--count", "1"),
        ("--where", "nonsense", "SecurityInfo", "--yes"),
    ),
    "commands sends": ((),),
    "flips list": ((),),
    "flips release": ((),),
    "flips drop": ((),),
    "policy show": ((),),
    "policy set": (
        ("network_users", "digest"),
        ("nonsense", "x"),
        ("network_users", "nonsense"),
        ("noncompliant_states", '["out_of_control"]'),
    ),
    "policy control show": ((), ("--device", MAC), ("--device", "NOBODY")),
    "policy control set": (
        ("tolerance=1d", "--dry-run"),
        ("tolerance=1d", "--yes"),
        ("tolerance=2d", "--group", "macs", "--yes"),
        ("tolerance=1d", "--group", "no", "--yes"),
    ),
    "policy control unset": ((), ("tolerance", "--yes")),
    "policy control order": (("macs",), ("nothing",)),
    "enroll link": (
        (),
        ("--kind", "ade", "--uses", "unlimited", "--expires", "2w", "--serial", "c02", "--capabilities", "none"),
        ("--kind", "account_user"),
    ),
    "enroll links": ((),),
    "enroll revoke": (("NONE",),),
    "secrets list": ((MAC,), ("NOBODY",)),
    "secrets find": (("C02XK1",), ("NOBODY",)),
    "secrets reveal": ((MAC, "recovery_lock"), (MAC, "filevault_key"), ("NOBODY", "recovery_lock")),
    "secrets rotate": ((MAC, "recovery_lock", "--anyway"), ("NOBODY", "recovery_lock")),
    "secrets clear": ((MAC, "recovery_lock"),),
    "secrets verify": ((MAC, "recovery_lock"),),
    "secrets administrator": ((MAC, "admin", "--hidden"), ("NOBODY", "admin")),
    "devices clear-passcode": ((MAC,), ("NOBODY", MAC)),
    "devices unenroll": ((MAC, "--yes"), (FORMER, MAC, "--yes"), ("NOBODY", "--yes")),
    "devices reject": ((MAC, "--yes"), (MAC, "--withdraw"), ("NOBODY", "--yes")),
    "webhooks add": (
        ("new", "https://receiver.example/", "--event", "control.*"),
        ("old", "https://receiver.example/"),
        ("plain", "http://receiver.example/"),
    ),
    "webhooks deliveries": (("old",), ("old", "--limit", "600"), ("none",)),
    "webhooks disable": (("old",), ("none",)),
    "webhooks pause": (("old",), ("none",)),
    "webhooks resume": (("old",), ("none",)),
    "webhooks list": ((),),
    "webhooks remove": (("old",), ("none",)),
    "webhooks replay": (("old", "--since", "2026-11-01"), ("none",)),
    "webhooks rotate-secret": (("old",), ("none",)),
    "webhooks show": (("old",), ("none",)),
    "webhooks test": (("old",), ("none",)),
    "tokens create": (
        ("new", "--role", "operator", "--days", "3"),
        ("new",),
        ("more", "--group", "macs"),
        ("most", "--group", "none"),
    ),
    "tokens list": ((),),
    "tokens revoke": (("former",), ("none",)),
    "admins disable": (("ana",), ("none",)),
    "admins enable": (("ana",), ("none",)),
    "admins link": ((), ("new",)),
    "admins list": ((),),
    "admins reset": (("ana",), ("none",)),
    "admins sessions": (("ana",), ("ana", "--end"), ("none", "--end")),
    "admins set-role": (("ana", "operator"), ("none", "operator")),
    "admins set-scope": (("ana", "macs"), ("ana",), ("ana", "none")),
    "audit list": (("--act", "group"), ("--act", "group", "--limit", "1"), ("--act", "none")),
    "audit export": ((),),
    "audit verify": ((), ("--kept", "00" * 32)),
    "push send": ((MAC,), ("NOBODY",)),
    "push explain": ((MAC,), (USER,), ("NOBODY",)),
    "push status": ((),),
    "push-cert list": ((),),
    "push-cert show": ((),),
    "push-cert upload": (("--cert", "PUSH", "--key", "KEY"), ("--cert", "FILE")),
    "profiles install": ((MAC, "FILE"), (USER, "FILE", "--secret"), ("NOBODY", "FILE")),
    "profiles list": ((MAC,), (MAC, "--history"), ("NOBODY",)),
    "profiles remove": ((MAC, "org.example.none"), (MAC, "org.example.none", "--anyway")),
    "profiles verify": ((MAC,), ("NOBODY",)),
    "apps install": (
        (MAC, "--store-id", "409183694"),
        (MAC, "--manifest-url", "https://a.example/m.plist", "--package"),
        ("NOBODY", "--store-id", "4"),
    ),
    "apps list": ((MAC,), (MAC, "--history"), ("NOBODY",)),
    "apps configure": ((MAC, "org.example.app", "FILE"),),
    "apps remove": ((MAC, "org.example.app"), (MAC, "org.example.app", "--anyway")),
    "apps verify": ((MAC,), ("NOBODY",)),
    "identities list": ((), ("--expires-within", "60d")),
    "users list": ((),),
    "users disable": (("old@example.org",), ("none",)),
    "users add": (
        ("new@example.org", "--password-stdin"),
        ("old@example.org", "--password-stdin"),
        ("x", "--password-stdin"),
    ),
    "users set-password": (("old@example.org", "--password-stdin"), ("none@example.org", "--password-stdin")),
    "witnesses list": ((),),
    "witnesses add": (("new", "--kind", "agent"), ("old", "--kind", "agent")),
    "witnesses rotate": (("old",), ("none",)),
    "witnesses remove": (("old",), ("none",)),
    "signals key list": ((),),
    "signals key rotate": ((),),
    "signals receiver list": ((),),
    "signals receiver add": (
        ("new", "--audience", "https://new.example/"),
        ("old", "--audience", "https://old.example/"),
    ),
    "signals receiver rotate-token": (("old",), ("none",)),
    "signals receiver remove": (("old",), ("none",)),
    "signals stream disable": (("old",), ("none",)),
    "signals stream pause": (("old", "--reason", "repair"), ("none",)),
    "signals stream resume": (("old",), ("none",)),
    "return-to-service allow": ((MAC, "--yes"), ("--all", "--yes", "--wifi-profile", "FILE"), ("NOBODY", "--yes")),
    "return-to-service forbid": ((MAC,), ("NOBODY",)),
    "return-to-service show": ((),),
    "devices return-to-service": ((MAC, "--yes"), ("NOBODY", "--yes")),
    "push-cert request": (
        (),
        ("--renew", "none"),
        ("--common-name", "Us", "--country", "DE", "--email", "a@b.example"),
    ),
    "push-cert vendor request": ((), ("--country", "Germany")),
    "push-cert vendor upload": (("--cert", "FILE"), ("--cert", "PUSH", "--key", "KEY")),
    "authority show": ((),),
    "devices inventory": ((MAC,), (MAC, "--history"), ("NOBODY",)),
    "devices list": (
        (),
        ("--order", "id"),
        ("--where", "platform = 'macOS'"),
        ("--where", "nonsense"),
        ("--search", "ada"),
        ("--state", "ended"),
        ("--search", "nobody"),
    ),
    "devices reach-link": ((MAC,), ("NOBODY",)),
    "devices refresh": ((MAC,), (MAC, "NOBODY"), (MAC, "--kind", "ProfileList")),
    "devices renew": ((MAC,), (FORMER, "NOBODY")),
    "devices show": ((MAC,), ("C02XK1",), (FORMER,), ("NOBODY",)),
    "groups add": (("hands", FORMER), ("macs", MAC), ("nothing", MAC)),
    "groups create": (("new",), ("new", "--where", "serial_number is known"), ("HANDS",), ("new", "--where", "x y")),
    "groups delete": (("hands",), ("nothing",)),
    "groups list": ((),),
    "groups query": (("macs", "name contains 'a'"), ("hands", "name contains 'a'")),
    "groups remove": (("hands", MAC), ("nothing", MAC)),
    "groups rename": (("macs", "Macs of ours"), ("macs", "hands")),
    "groups show": (("macs",), ("Hands",), ("nothing",)),
    "import profile": (("FILE", MAC), ("THEIRS", MAC, FORMER), ("THEIRS", "--where", "platform = 'macOS'", "--apply")),
    "incidents": ((), ("--open", "--limit", "3")),
    "recover": (
        (MAC,),
        (MAC, "--dry-run"),
        ("--list",),
        (MAC, "--now"),
        (MAC, "--put-off", "7d"),
        (MAC, "--put-off", "31d"),
        (MAC, "--stop"),
        (MAC, "--confirm", "re_enroll"),
        ("NOBODY",),
    ),
    "status": ((), ("--history", "30d")),
    "timeline": ((MAC,), ("C02XK1", "--days", "3"), ("NOBODY",)),
    "why": ((MAC,), (USER, "--all"), ("C02XK1",), ("NOBODY",)),
}
"""With which arguments each command is held against itself; UUID stands for a command that was sent to the Mac."""


@pytest.fixture
def circumstances() -> Iterator[Circumstances]:
    with held_still() as held:
        yield held


@pytest.fixture(scope="module")
def prepared(_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data directory in which PREPARED was done, and what stands for words of CASES."""
    directory = Path(shutil.copytree(_template, tmp_path_factory.mktemp("prepared") / "data"))
    near, uuid = CommandLine("--data-dir", str(directory)), ""
    with held_still() as circumstances:
        for number, one in enumerate(PREPARED):
            circumstances.begin(number)
            code, out, said = near.run(*one)
            assert code == 0, said
            uuid = out.strip() if one[:3] == ("commands", "send", MAC) else uuid
        with serving(directory) as (url, data):
            begun = Recovery("one", ChannelId(MAC), Run(Reason.NOT_OBEYING, circumstances.time))
            data.runner.write_now(_record, [begun])
            token = token_of(data)
            assert FarCommandLine(url, token).run("groups", "list")[0] == 0  # it was used, on both sides
    file = directory.with_name("profile.mobileconfig")
    file.write_bytes(plistlib.dumps(PROFILE))
    theirs = directory.with_name("theirs.mobileconfig")
    theirs.write_bytes(encode_enrollment_profile(THEIRS))
    push = push_files(directory.with_name("push"))
    return directory, {"UUID": uuid, "FILE": str(file), "THEIRS": str(theirs), "Payload=@FILE": f"Payload=@{file}"} | {
        "PUSH": str(push.certificate),
        "KEY": str(push.key),
        "TOKEN": token,
    }


def _record(tx: Transaction, some: Sequence[Recovery], _ctx: Context) -> list[None]:
    recoveries.record(tx, some)
    return [None for _ in some]


def test_every_command_says_whether_it_asks_a_server_elsewhere() -> None:
    known = parameters().keys()

    assert ELSEWHERE | HERE_ALONE.keys() | ASKS_NOBODY == known
    assert not ELSEWHERE & HERE_ALONE.keys()
    assert CASES.keys() == ELSEWHERE


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("words", sorted(CASES))
def test_command_says_the_same_from_elsewhere(
    words: str,
    form: tuple[str, ...],
    prepared: tuple[Path, dict[str, str]],
    tmp_path: Path,
    circumstances: Circumstances,
) -> None:
    before, names = prepared
    here, there = (Path(shutil.copytree(before, tmp_path / name)) for name in ("here", "there"))
    near = CommandLine("--data-dir", str(here))
    with serving(there) as (url, _):
        far = FarCommandLine(url, names["TOKEN"])
        cases = CASES[words] if not form else CASES[words][:2]  # what is refused is said alike in both forms
        for number, arguments in enumerate(cases, len(PREPARED)):
            called = [*words.split(), *(names.get(one, one) for one in arguments), *form]
            circumstances.begin(number)
            said_here = near.run(*called)
            circumstances.begin(number)
            said_there = far.run(*called)

            assert _lines(*said_there) == _lines(*said_here), called


def _lines(code: int, out: str, err: str) -> list[str]:
    """Lay out what a command said, so that a failure shows the line; but for who acted, and from where."""
    out = out.replace('"kind": "token"', '"kind": "command_line"').replace('"source": "127.0.0.1"', '"source": ""')
    return [str(int(code)), *out.split("\n"), *err.split("\n")]
