"""The replies that make a device or a user leave have one writer each in the doors for devices.

401, and 403 with `com.apple.unrecognized.device`, make a device remove its management; 410 makes a Mac give up on a
user. So their numbers and words may stand nowhere but where it is decided on purpose.

On check-in and connect that is leaving.py. Enrollment endpoints, which nothing enrolled calls, answer a challenge or a
refusal by files of their own: they are listed here, one by one.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import muster.edges.device
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LetGo
from muster.edges.device import errors
from muster.edges.device.errors import STATUS, refusal_reply

DOORS = sorted(Path(muster.edges.device.__file__).parent.rglob("*.py"))
SOURCES = sorted(path for path in Path(muster.__file__).parent.rglob("*.py") if "simulator" not in path.parts)
OPERATIONS = [path for path in SOURCES if path.parent.name == "operations"]
UNAUTHORIZED, GONE = 401, 410
WRITER = "leaving.py"
CHALLENGES = {"account_driven.py"}
"""Doors of enrollment that ask for a sign-in by 401."""
CODES = {"device_errors.py"}
"""Doors of enrollment that answer in Apple's codes; check-in and connect don't lead there."""
CODE_MAKERS = {"UNRECOGNIZED_DEVICE", "unrecognized_device"}
"""How the code is named by those who send it; the text itself stands in muster.protocol.enrollment_errors."""
UNRECOGNIZED_DEVICE = "com.apple.unrecognized.device"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def constants(tree: ast.AST) -> Iterator[object]:
    """Every literal of the code; docstrings are none."""
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in prose:
            yield node.value


def says(value: object, status: int) -> bool:
    """Whether a literal is *status*, as a number or anywhere in a text."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value == status or (isinstance(value, str) and str(status) in value)


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that the code uses: variables, attributes, imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name


def calls(path: Path) -> Iterator[str]:
    """The name of every function that the file calls by its plain name, classes too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def by_name(path: Path) -> str:
    return path.name


def functions_naming(name: str) -> list[str]:
    return [
        f"{path.name}: {function.name}"
        for path in DOORS
        for function in ast.walk(parsed(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and name in set(names(function))
    ]


def test_doors_are_found() -> None:
    assert {"application.py", "errors.py", "messages.py", "scep.py", "profile_page.py", WRITER} <= {
        path.name for path in DOORS
    }


@pytest.mark.parametrize("path", [path for path in DOORS if path.name not in {WRITER, *CHALLENGES}], ids=by_name)
def test_401_is_written_nowhere_else(path: Path) -> None:
    assert [value for value in constants(parsed(path)) if says(value, UNAUTHORIZED)] == []


def test_401_is_one_constant_of_its_writer() -> None:
    (writer,) = (path for path in DOORS if path.name == WRITER)

    assert [value for value in constants(parsed(writer)) if says(value, UNAUTHORIZED)] == [UNAUTHORIZED]
    assert functions_naming("UNAUTHORIZED") == [f"{WRITER}: leaving_reply"]


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_apples_code_that_unenrolls_is_spelled_in_the_protocol_alone(path: Path) -> None:
    spelled = [value for value in constants(parsed(path)) if UNRECOGNIZED_DEVICE in str(value)]

    assert spelled == ([UNRECOGNIZED_DEVICE] if path.name == "enrollment_errors.py" else [])


@pytest.mark.parametrize("path", [path for path in DOORS if path.name not in {WRITER, *CODES}], ids=by_name)
def test_apples_code_that_unenrolls_is_sent_from_nowhere_else(path: Path) -> None:
    assert CODE_MAKERS & set(names(parsed(path))) == set()


@pytest.mark.parametrize("path", DOORS, ids=by_name)
def test_statuses_are_written_as_numbers_that_these_tests_can_see(path: Path) -> None:
    forbidden = {"HTTPStatus", "HTTPException", "HTTP_401_UNAUTHORIZED", "HTTP_410_GONE"}

    assert forbidden & set(names(parsed(path))) == set()


def test_the_leaving_reply_is_written_by_one_function_and_reached_from_one() -> None:
    sent_by = [place for place in functions_naming("unrecognized_device") if place.partition(":")[0] not in CODES]

    assert sent_by == [f"{WRITER}: leaving_reply"]
    assert functions_naming("leaving_reply") == ["messages.py: _let_go"]
    assert functions_naming("_let_go") == ["messages.py: _answer_connect", "messages.py: _answer_checkin"]


def test_doors_make_no_decision_to_let_a_device_go() -> None:
    assert [path.name for path in DOORS if "LetGo" in set(calls(path))] == []


def test_operations_let_devices_go_in_one_place() -> None:
    assert [path.name for path in OPERATIONS for called in calls(path) if called == "LetGo"] == ["turn_away.py"]


def test_devices_are_turned_away_by_check_in_and_connect_alone() -> None:
    deciders = {"turned_away", "restored_refused", "enrollment_refused"}
    places = sorted((path.name, called) for path in OPERATIONS for called in calls(path) if called in deciders)

    assert places == [
        ("answer_checkin.py", "turned_away"),
        ("answer_connect.py", "restored_refused"),
        ("answer_connect.py", "turned_away"),
        ("enroll_device.py", "enrollment_refused"),
        ("update_token.py", "restored_refused"),
    ]


def test_a_refusal_is_no_leaving_reply() -> None:
    assert not issubclass(LetGo, Refusal)
    assert not issubclass(Refusal, LetGo)


def test_410_is_a_constant_of_errors_and_nothing_else() -> None:
    places = [path.name for path in DOORS for value in constants(parsed(path)) if says(value, GONE)]

    assert places == ["errors.py"]
    assert errors.GONE == GONE


def test_410_is_written_by_one_function() -> None:
    assert functions_naming("GONE") == ["errors.py: user_not_managed_reply"]


def test_410_is_reached_from_one_place() -> None:
    assert functions_naming("user_not_managed_reply") == ["messages.py: _answer_checkin"]


def test_operations_send_users_away_in_one_place() -> None:
    places = [path.name for path in OPERATIONS for called in calls(path) if called == "UserNotManaged"]

    assert places == ["authenticate_user.py"]


@pytest.mark.parametrize("code", RefusalCode)
def test_no_refusal_makes_a_device_leave(code: RefusalCode) -> None:
    reply = refusal_reply(Refusal(code, "message", "remedy"))

    assert reply.status in {400, 403, 404, 413, 503}
    assert reply.content_type.startswith(b"text/plain")
    assert UNRECOGNIZED_DEVICE.encode() not in reply.body


def test_every_mapped_status_is_one_that_devices_survive() -> None:
    assert set(STATUS.values()) <= {400, 403, 404, 413, 503}


def test_devices_in_setup_assistant_are_told_that_they_are_unknown_by_one_function_from_one_door() -> None:
    writers = [place for place in functions_naming("unrecognized_device") if place.startswith("device_errors.py")]

    assert writers == ["device_errors.py: not_listed_reply"]
    assert functions_naming("not_listed_reply") == ["automated.py: _give"]


@pytest.mark.parametrize("name", ["messages.py", "presented.py", "refusals.py", "scep.py", "errors.py"])
def test_doors_of_enrolled_devices_know_nothing_of_the_codes_for_others(name: str) -> None:
    [door] = [path for path in DOORS if path.name == name and path.parent.name == "device"]

    assert not {"ways_in", "device_errors", "not_listed_reply"} & {
        part
        for node in ast.walk(parsed(door))
        if isinstance(node, ast.ImportFrom)
        for part in str(node.module).split(".")
    }
