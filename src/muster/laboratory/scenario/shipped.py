"""The scenarios that come with the distribution: their names, and where they lie."""

from pathlib import Path
from typing import Final

PACKAGED: Final = Path(__file__).parent.parent / "scenarios"
"""Where an installed distribution has them."""
CHECKED_OUT: Final = Path(__file__).parents[4] / "scenarios"
"""Where a checkout of the sources has them."""


def shipped() -> dict[str, Path]:
    """The files of all shipped scenarios by name, in order of their names."""
    folder = PACKAGED if PACKAGED.is_dir() else CHECKED_OUT
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def scenario_file(name_or_path: str) -> Path:
    """The file that *name_or_path* means: a path that exists, or the name of a shipped scenario.

    Neither: the path as it was given, which whoever reads it will find missing.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.exists():
        return path
    return shipped().get(name_or_path, path)
