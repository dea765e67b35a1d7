"""`muster lab`: scenarios of the laboratory, played in virtual time against the real server."""

import sys
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.output import print_json, print_table

app = typer.Typer(help="The laboratory: simulated fleets in virtual time.", no_args_is_help=True)


@app.command("run")
def run(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE.toml", help="The scenario, or the name of a shipped one (`muster lab list`)."),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, as one line of JSON.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Chance, instead of the file's seed.")] = None,
    days: Annotated[
        float | None, typer.Option("--days", min=0.01, help="End after so many days, if that is sooner.")
    ] = None,
) -> int:
    """Play a scenario, and tell what the verdicts were, and how right. Equal seeds give equal runs.

    Exit code 0: everything that the file expects came true; 1: something did not; 2: the file is no scenario.
    """
    # slow to import for other commands
    from muster.laboratory.scenario.expectations import unmet  # noqa: PLC0415
    from muster.laboratory.scenario.model import Limits  # noqa: PLC0415
    from muster.laboratory.scenario.play import play_scenario  # noqa: PLC0415
    from muster.laboratory.scenario.reading import read_scenario  # noqa: PLC0415
    from muster.laboratory.scenario.score import fallen_short, score  # noqa: PLC0415
    from muster.laboratory.scenario.shipped import scenario_file  # noqa: PLC0415
    from muster.laboratory.scenario.story import story_json, story_text  # noqa: PLC0415
    from muster.laboratory.scenario.tables import BadScenario  # noqa: PLC0415

    try:
        scenario = read_scenario(scenario_file(file))
        if days is not None:
            scenario = replace(scenario, limits=Limits())  # they are of the whole
        played = play_scenario(scenario, seed=seed, duration=None if days is None else timedelta(days=days))
    except FileNotFoundError as error:
        raise CommandFailed(f"{file} does not exist", code=ExitCode.USAGE) from error
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
    except BadScenario as error:
        raise CommandFailed(
            str(error), remedy="The manual's page on the laboratory has the language.", code=ExitCode.USAGE
        ) from error
    scored = score(played)
    failures, short = unmet(played), fallen_short(scored, scenario.limits)
    tell = story_json if as_json else story_text
    sys.stdout.write(tell(played, scored, failures, short))
    return ExitCode.FAULT if failures or short else ExitCode.OK


@app.command("list")
def list_shipped(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")] = False
) -> None:
    """List the scenarios that come with Muster; `muster lab run NAME` plays one."""
    # slow to import for other commands
    from muster.laboratory.scenario.reading import read_scenario  # noqa: PLC0415
    from muster.laboratory.scenario.shipped import shipped  # noqa: PLC0415

    scenarios = [(name, read_scenario(file)) for name, file in shipped().items()]
    if as_json:
        print_json(
            [
                {
                    "name": name,
                    "devices": len(one.devices),
                    "days": one.duration / timedelta(days=1),
                    "description": one.description,
                }
                for name, one in scenarios
            ]
        )
        return
    print_table(
        ("NAME", "DEVICES", "DAYS", "WHAT HAPPENS"),
        [(name, len(one.devices), one.duration.days, one.description) for name, one in scenarios],
    )
