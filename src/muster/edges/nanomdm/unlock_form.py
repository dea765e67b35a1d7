"""The request by which a server has Apple take off an Activation Lock with a bypass code.

Source: Apple, "Creating and using bypass codes": the parameters in the address, and those in the body.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from muster.protocol.errors import MalformedMessage

MAX_FORM_BYTES: Final = 16 * 1024
"""Nine fields of a line each."""
MAX_FIELDS: Final = 100
MAX_VALUE_CHARACTERS: Final = 1024

_IN_ADDRESS: Final = ("serial", "productType", "imei", "imei2", "meid")
_IN_BODY: Final = ("orgName", "guid", "escrowKey")
_REQUIRED: Final = ("serial", "productType", *_IN_BODY)


def read_unlock_form(body: bytes) -> dict[str, str]:
    """The fields of a form, the first of each name, empty ones left out.

    Raises MalformedMessage when *body* is no form in UTF-8, or beyond its bounds.
    """
    if len(body) > MAX_FORM_BYTES:
        raise MalformedMessage(f"the form has more than {MAX_FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise MalformedMessage(f"the body is no form: {error}") from error
    if any(len(value) > MAX_VALUE_CHARACTERS for _, value in pairs):
        raise MalformedMessage(f"a field has more than {MAX_VALUE_CHARACTERS} characters")
    return {name: value for name, value in reversed(pairs) if value}


def is_complete(fields: Mapping[str, str]) -> bool:
    """Tell whether all that Apple requires is there."""
    return all(name in fields for name in _REQUIRED)


def unlock_query(fields: Mapping[str, str]) -> str:
    """What stands in the address, behind the question mark."""
    return urlencode(sorted((name, fields[name]) for name in _IN_ADDRESS if name in fields))


def unlock_body(fields: Mapping[str, str]) -> bytes:
    """What stands in the body, application/x-www-form-urlencoded."""
    return urlencode(sorted((name, fields[name]) for name in _IN_BODY if name in fields)).encode()
