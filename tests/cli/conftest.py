"""An installation to run commands on: two devices, a user, no server."""

import os
import shutil
from pathlib import Path

import pytest
from tests.support.command_line import CommandLine
from tests.support.fleet import add_device, add_user
from tests.support.runner import NOW

from muster.settings import PREFIX
from muster.storage.sqlite import SqliteEngine

MAC = "11111111-2222-4333-8444-555555555555"
USER = f"{MAC}:99999999-8888-4777-8666-555555555555"
FORMER = "FORMER-DEVICE"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # where the default data directory would be


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cli") / "data"
    code, _, said = CommandLine("--data-dir", str(directory)).run("init")
    assert code == 0, said
    engine = SqliteEngine(directory / "muster.db", synchronous="OFF")
    add_device(engine, MAC, name="Ada's Mac", serial_number="C02XK1", os_version="15.5", contacts=[NOW])
    add_user(engine, MAC, USER.partition(":")[2], "ada")
    add_device(engine, FORMER, state="ended", ended_at=NOW)
    engine.close()
    return directory


@pytest.fixture
def data_dir(_template: Path, tmp_path: Path) -> Path:
    """The installation's data directory."""
    return Path(shutil.copytree(_template, tmp_path / "installation"))


@pytest.fixture
def muster(data_dir: Path) -> CommandLine:
    """The command line on the installation."""
    return CommandLine("--data-dir", str(data_dir))
