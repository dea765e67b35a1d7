"""What is asked of Alembic. Imported only to upgrade: it is slow to load, and every command asks for the revision."""

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.sql.schema import SchemaItem

from muster.storage.schema import PARTITIONED

_PARTITION = re.compile(rf"({'|'.join(PARTITIONED)})_(default|y\d{{4}}m\d{{2}})")


def upgrade_to_head(connection: sa.Connection) -> None:
    """Run the migrations that are missing, inside the transaction of *connection*."""
    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: sa.Connection) -> Config:
    """Return what Alembic's commands need to work on *connection*, inside its transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def is_in_metadata(
    object_: SchemaItem, name: str | None, type_: str, _reflected: bool, _compare_to: SchemaItem | None
) -> bool:
    """Tell Alembic's comparison what to look at.

    Not at the partitions, which come and go with the months, nor at indexes that only one of the engines has.
    """
    is_partition = type_ == "table" and name is not None and _PARTITION.fullmatch(name) is not None
    return not is_partition and "only_on" not in object_.info
