"""Servers that most tests of the whole share, one on each engine, and the stage they play on."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.service.running import RunningServer
from tests.service.stage import Stage
from tests.support.command_line import CommandLine, push_files
from tests.support.postgresql import PostgresqlServer

_LOG_LINES = 60
DOOR_KEY = "a key for programs"
"""Of the familiar door."""


@dataclass(frozen=True)
class Site:
    """A running server, and the command line beside it. *where* are the flags that name its data."""

    server: RunningServer
    muster: CommandLine
    where: tuple[str, ...]


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The simulated APNs and the loop for devices."""
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(autouse=True)
def _clear_stage(stage: Stage) -> Iterator[None]:
    yield
    stage.clear()


def _environment(stage: Stage, directory: Path) -> dict[str, str]:
    return {**stage.settings(directory), "MUSTER_NANOMDM_API_KEY": DOOR_KEY}


@pytest.fixture(scope="session")
def sqlite_site(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server on SQLite with a push certificate."""
    directory = tmp_path_factory.mktemp("sqlite-site")
    where = ("--data-dir", str(directory / "data"))
    with RunningServer(directory / "data", environment=_environment(stage, directory)) as server:
        muster = CommandLine(*where)
        muster.upload(push_files(directory))
        yield Site(server, muster, where)


@pytest.fixture(scope="session")
def postgresql_site(
    stage: Stage, postgresql_server: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A server on PostgreSQL with a push certificate."""
    directory = tmp_path_factory.mktemp("postgresql-site")
    url = postgresql_server.create_database("site")
    where = ("--data-dir", str(directory / "data"), "--database", url)
    assert CommandLine(*where).run("init")[0] == 0
    with RunningServer(directory / "data", "--database", url, environment=_environment(stage, directory)) as server:
        muster = CommandLine(*where)
        muster.upload(push_files(directory))
        yield Site(server, muster, where)


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest) -> Site:
    """A server on either engine."""
    chosen: Site = request.getfixturevalue(f"{request.param}_site")
    return chosen


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Where a server of the test's own may keep its data, beside `--data-dir`: made by `muster init`."""
    extra: tuple[str, ...] = ()
    if request.param == "postgresql":
        extra = ("--database", request.getfixturevalue("bare_postgresql_url"))
    assert CommandLine("--data-dir", str(tmp_path / "data"), *extra).run("init")[0] == 0
    return extra


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every running server's log with a failure."""
    report = yield
    if report.failed:
        for server in RunningServer.started:
            if server.is_running:
                report.sections.append((f"log of {server.url}", "\n".join(server.log[-_LOG_LINES:])))
    return report
