"""`muster demo`: a newcomer's first minute, with a fleet of simulated devices and nothing to set up."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from muster.cli.admins import OWNER
from muster.cli.errors import CommandFailed, ExitCode

if TYPE_CHECKING:
    from muster.cli.demo_screen import Screen
    from muster.laboratory.demonstration import Demonstration, Figures
    from muster.laboratory.former_life import FormerLife

DEVICES = 25
MAXIMUM_DEVICES = 500
"""All their requests share this process with the server."""
ANY_PORT = "127.0.0.1:0"
REFRESH_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add this command to *app*."""
    app.command("demo")(demo)


def demo(
    devices: Annotated[
        int, typer.Option("--devices", min=1, max=MAXIMUM_DEVICES, help="How many devices to simulate.")
    ] = DEVICES,
    # not from MUSTER_DATA_DIR: that is where somebody's real server is
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keep the data here; by default it is thrown away at the end.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0.0, metavar="SECONDS", help="End by itself after SECONDS.")
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where the server listens; port 0 takes a free one.")
    ] = ANY_PORT,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin without a past: with the devices alone that enroll before your eyes.")
    ] = False,
) -> int:
    """Run the real server with simulated devices and a simulated push service, all on this machine.

    It begins with four weeks of a small company, played in some seconds. Nothing to prepare, nothing left behind:
    Ctrl-C ends it.
    """
    with _ending() as ending:
        print(f"Muster with {_count(devices)}, all on this machine.", flush=True)
        from muster.cli import demo_screen  # noqa: PLC0415 - slow to import for other commands
        from muster.laboratory.demo_directory import UnfitDirectory, demo_directory  # noqa: PLC0415 - the same

        screen = demo_screen.choose_screen()
        try:
            with demo_directory(data_dir) as directory:
                former = None if fresh else _former_life(directory, ending)
                print("Starting the server ...", flush=True)
                figures = asyncio.run(
                    _run(directory, screen, ending, former, devices=devices, listen_on=listen, duration=duration)
                )
        except UnfitDirectory as error:
            raise CommandFailed(
                str(error), remedy="Name another --data-dir, or none.", code=ExitCode.CONFLICT
            ) from error
        screen.closed(figures, kept_in=data_dir)
    return ExitCode.OK


class _Ending:
    """Whether somebody wants the demonstration to end; known from before the event loop runs until after it."""

    def __init__(self) -> None:
        self.is_wanted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        """Take note."""
        self.is_wanted = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Have `wait` return from within the running event loop."""
        self._loop = asyncio.get_running_loop()
        if self.is_wanted:
            self._event.set()
        try:
            yield
        finally:
            self._loop = None

    async def wait(self, seconds: float) -> None:
        """Wait until the end is wanted, at most *seconds*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


@contextmanager
def _ending() -> Iterator[_Ending]:
    """Take Ctrl-C, and what else asks a process to end, as the wish to end well."""
    ending = _Ending()
    former = {one: signal.signal(one, ending.on_signal) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield ending
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)


def _former_life(directory: Path, ending: _Ending) -> "FormerLife | None":
    from muster.laboratory.demonstration import live_before  # noqa: PLC0415 - slow to import for other commands
    from muster.laboratory.former_life import Unwanted  # noqa: PLC0415 - the same

    print("First, four weeks of a small company, in some seconds (--fresh leaves them out) ...", flush=True)
    with suppress(Unwanted):
        return live_before(
            directory, lambda: not ending.is_wanted, lambda number: print(f"  week {number}", flush=True)
        )
    return None


async def _run(
    directory: Path,
    screen: "Screen",
    ending: _Ending,
    former: "FormerLife | None",
    *,
    devices: int,
    listen_on: str,
    duration: float | None,
) -> "Figures":
    from muster.laboratory import demonstration  # noqa: PLC0415 - slow to import for other commands

    with ending.heard():
        opening = demonstration.demonstration(
            directory, devices=devices, listen_on=listen_on, administrator=OWNER, tell=screen.tell, former=former
        )
        try:
            async with opening as shown:
                if not ending.is_wanted:
                    screen.opened(shown, _program())
                playing = asyncio.create_task(shown.play())
                try:
                    await _watch(shown, screen, ending, playing, duration)
                finally:
                    screen.closing()
                    figures = await shown.figures()
                    playing.cancel()
                    await asyncio.wait([playing])
        except demonstration.AddressUnavailable as error:
            raise CommandFailed(
                str(error), remedy="Choose another address with --listen HOST:PORT.", code=ExitCode.UNAVAILABLE
            ) from error
    return figures


async def _watch(
    shown: "Demonstration", screen: "Screen", ending: _Ending, playing: asyncio.Task[None], duration: float | None
) -> None:
    """Show what happens until the end is wanted or *duration* seconds are over. Raises what *playing* died of."""
    now = asyncio.get_running_loop().time
    until = None if duration is None else now() + duration
    while not ending.is_wanted and not playing.done():
        left = REFRESH_SECONDS if until is None else until - now()
        if left <= 0:
            return
        screen.show(await shown.look(), await shown.figures(), list(shown.happenings))
        await ending.wait(min(REFRESH_SECONDS, left))
    if playing.done():
        playing.result()


def _count(devices: int) -> str:
    return "1 simulated device" if devices == 1 else f"{devices} simulated devices"


def _program() -> str:
    """Return how this command was called, for hints that can be pasted."""
    called = sys.argv[0]
    if called.endswith(".py"):
        return f"{sys.executable} -m muster.cli"
    return "muster" if shutil.which("muster") == called else called
