"""The directory of a demonstration: its own, so that no simulated device ever gets into a real server's data."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "demonstration"
"""The file that tells such a directory; it is locked while a demonstration uses it."""
MARK_TEXT = "Made by `muster demo`. The devices in this directory are simulated.\n"


class UnfitDirectory(Exception):
    """The directory can't be used now, or not for a demonstration; the message says why."""


@contextmanager
def demo_directory(given: Path | None) -> Iterator[Path]:
    """Hold a directory for one demonstration: *given*, which stays, or a temporary one, which is removed at the end.

    Raises UnfitDirectory when *given* holds anything but a former demonstration, when another one is using it, and when
    it can't be made.
    """
    if given is None:
        temporary = Path(tempfile.mkdtemp(prefix="muster-demo-"))
        try:
            yield from _marked(temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    try:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnfitDirectory(f"{given} can't be made: {error.strerror}") from error
    if not (given / MARK).exists() and any(given.iterdir()):
        raise UnfitDirectory(f"{given} is neither empty nor the directory of a former demonstration")
    yield from _marked(given.resolve())


def _marked(directory: Path) -> Iterator[Path]:
    mark = directory / MARK
    with mark.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnfitDirectory(f"another demonstration is using {directory}") from None
        if mark.stat().st_size == 0:
            file.write(MARK_TEXT)
            file.flush()
        yield directory
