"""The replies that make a device or a user leave have one writer each, or none, in the doors for devices.

401, and 403 with `com.apple.unrecognized.device`, make a device remove its management; 410 makes a Mac give up on a
user. So their numbers and words may stand nowhere but where it is decided on purpose.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import muster.edges.device
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device import errors
from muster.edges.device.errors import STATUS, refusal_reply

DOORS = sorted(Path(muster.edges.device.__file__).parent.rglob("*.py"))
UNAUTHORIZED, GONE = 401, 410
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


def functions_naming(name: str) -> list[str]:
    return [
        f"{path.name}: {function.name}"
        for path in DOORS
        for function in ast.walk(parsed(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and name in set(names(function))
    ]


def test_doors_are_found() -> None:
    assert {"application.py", "errors.py", "messages.py", "scep.py", "profile_page.py"} <= {path.name for path in DOORS}


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.name)
def test_401_is_written_nowhere(path: Path) -> None:
    assert [value for value in constants(parsed(path)) if says(value, UNAUTHORIZED)] == []


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.name)
def test_apples_code_that_unenrolls_is_written_nowhere(path: Path) -> None:
    unrecognized = [value for value in constants(parsed(path)) if UNRECOGNIZED_DEVICE in str(value)]

    assert unrecognized == []


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.name)
def test_statuses_are_written_as_numbers_that_these_tests_can_see(path: Path) -> None:
    forbidden = {"HTTPStatus", "UNAUTHORIZED", "HTTPException", "HTTP_401_UNAUTHORIZED", "HTTP_410_GONE"}

    assert forbidden & set(names(parsed(path))) == set()


def test_410_is_a_constant_of_errors_and_nothing_else() -> None:
    places = [path.name for path in DOORS for value in constants(parsed(path)) if says(value, GONE)]

    assert places == ["errors.py"]
    assert errors.GONE == GONE


def test_410_is_written_by_one_function() -> None:
    assert functions_naming("GONE") == ["errors.py: user_not_managed_reply"]


def test_410_is_reached_from_one_place() -> None:
    assert functions_naming("user_not_managed_reply") == ["messages.py: _answer_checkin"]


def test_operations_send_users_away_in_one_place() -> None:
    operations = Path(muster.edges.device.__file__).parents[2] / "operations"
    calls = [
        path.name
        for path in sorted(operations.rglob("*.py"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserNotManaged"
    ]

    assert calls == ["answer_checkin.py"]


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
