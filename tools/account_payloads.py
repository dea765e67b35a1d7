"""Make the table of account payloads anew from Apple's device management schema.

    python -m tools.account_payloads FOLDER > src/muster/protocol/catalogue/account_payload_table.py

FOLDER is as for `tools.catalogue`, whose lines these are; each payload stands in them as a command does.
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tools.catalogue import MODULE, UnknownFact, catalogue_lines, read_key, read_support

PAYLOADS: Final = (
    "com.apple.caldav.account",
    "com.apple.carddav.account",
    "com.apple.eas.account",
    "com.apple.ews.account",
    "com.apple.mail.managed",
    "com.apple.vpn.managed",
    "com.apple.wifi.managed",
)

_LEFT_OUT: Final = frozenset({"allowmanualinstall", "multiple", "userapprovedmdm"})
"""What the schema says of payloads only, and nothing here asks."""


def main(arguments: list[str]) -> int:
    """Print the table of the schema in the folder that is named; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tools.account_payloads FOLDER\n")
        return 2
    sys.stdout.write(table_module(Path(arguments[0])))
    return 0


def table_module(folder: Path) -> str:
    """Write the module that holds the table. Raises UnknownFact; OSError where the folder is another one."""
    notice = (folder / "LICENSE.txt").read_text(encoding="utf-8").strip()
    rows = "\n".join(catalogue_lines({name: _payload(folder / "mdm" / "profiles", name) for name in PAYLOADS}))
    if '"""' in rows or "\\" in rows:
        raise UnknownFact("a value needs quoting that the table does not have")
    module = MODULE.replace("Apple's commands", "Apple's payloads of accounts").replace(
        "tools.catalogue", "tools.account_payloads"
    )
    module = module.replace("# ruff: noqa: E501 - a line is a key, however long\n", "")  # no line here is that long
    return module.format(notice=notice, rows=rows)


def _payload(folder: Path, name: str) -> dict[str, Any]:
    document = importlib.import_module("yaml").safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    payload = document["payload"]
    if payload["payloadtype"] != name:
        raise UnknownFact(f"{name} is of another type")
    return {
        "os": read_support(_stripped(payload["supportedOS"]), name),
        "req": [read_key(_stripped_key(key), f"{name}/{key['key']}") for key in document["payloadkeys"]],
        "res": [],
    }


def _stripped_key(key: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a key, and of those in it, what is not asked; what a combination of keys means is no fact of one."""
    kept = {name: value for name, value in key.items() if name not in ("combinetype", "subkeys", "supportedOS")}
    if "supportedOS" in key:
        kept["supportedOS"] = _stripped(key["supportedOS"])
    if "subkeys" in key:
        kept["subkeys"] = [_stripped_key(one) for one in key["subkeys"] or ()]
    return kept


def _stripped(families: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        family: {name: value for name, value in said.items() if name not in _LEFT_OUT}
        for family, said in families.items()
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
