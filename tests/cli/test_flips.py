"""`muster flips`: what waits for a word is shown, and the word is carried out."""

from pathlib import Path

from tests.support.command_line import CommandLine
from tests.support.runner import NOW

from muster.domain.control.telling import Telling
from muster.protocol.identifiers import ChannelId
from muster.storage import tellings
from muster.storage.sqlite import SqliteEngine
from muster.storage.tellings import MassFlip, StoredTelling

FLIP = MassFlip("F", NOW, 1000, 5000, 10)
WAITING = [StoredTelling(ChannelId(f"D{number}"), Telling(), held_by="F") for number in range(3)]


def store(data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(lambda tx: tellings.add_flip(tx, FLIP))
    engine.write(lambda tx: tellings.write(tx, WAITING))
    engine.close()


def test_flip_waits_until_it_is_released(muster: CommandLine, data_dir: Path) -> None:
    before = muster.run("flips", "list")[1]
    store(data_dir)

    waiting = muster("flips", "list")
    table = muster.run("flips", "list")[1]
    released = muster("flips", "release")
    (after,) = muster("flips", "list")

    assert before == "No mass flip.\n"
    assert [(one["id"], one["count"], one["left"], one["ended_at"]) for one in waiting] == [("F", 1000, 3, None)]
    assert "waits for you" in table
    assert released == {"flip_id": "F", "waiting": 3, "told": 0}  # none of them was ever judged
    assert (after["is_released"], after["left"]) == (True, 0)


def test_flip_that_is_dropped_is_told_to_nobody(muster: CommandLine, data_dir: Path) -> None:
    store(data_dir)

    code, _, said = muster.run("flips", "drop")

    assert (code, said) == (0, "3 enrollments waited; nobody is told of them.\n")


def test_word_on_nothing_is_refused(muster: CommandLine) -> None:
    code, _, said = muster.run("flips", "release")

    assert code == 3
    assert "no mass flip waits for a word" in said
