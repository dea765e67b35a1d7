"""What is known of the payloads that make an account on a device: their keys, and where each may go.

`account_payload_table.py` holds it, in the lines of the catalogue of commands.
"""

from dataclasses import replace
from functools import cache

from muster.protocol.catalogue.account_payload_table import TABLE
from muster.protocol.catalogue.commands import COMMON_KEYS, read_section, sections_of
from muster.protocol.catalogue.facts import CommandFacts


@cache
def account_payload(payload_type: str) -> CommandFacts:
    """The facts of a payload: `request_type` is its PayloadType, `request` its keys; those that all payloads have are
    left out. Raises KeyError for a type that is not in the table."""
    facts = read_section(payload_type, sections_of(TABLE)[payload_type])
    return replace(facts, request=tuple(key for key in facts.request if key not in COMMON_KEYS))
