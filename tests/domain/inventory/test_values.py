"""Values of property lists are kept as JSON and come back as they were, or are known to have been too large."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain.inventory.values import MAXIMUM_VALUE_CHARACTERS, from_json, in_words, to_json
from muster.protocol.plist import PlistValue

WHEN = datetime(2026, 11, 22, 14, 31, 7, tzinfo=UTC)

values = st.recursive(
    st.text(max_size=20)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(values)
@settings(max_examples=100)
def test_every_value_comes_back_from_its_json(value: PlistValue) -> None:
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize(
    "value", [{"$date": "x"}, {"$data": "x"}, {"$cut": 3}, {"$$date": {"$real": "nan"}}, {"$": [{"$date": 1}]}]
)
def test_keys_of_a_devices_own_are_not_taken_for_ours(value: PlistValue) -> None:
    assert from_json(to_json(value)) == value


def test_number_that_json_lacks_comes_back() -> None:
    back = from_json(to_json(math.nan))

    assert isinstance(back, float)
    assert math.isnan(back)


@pytest.mark.parametrize("value", ["x" * MAXIMUM_VALUE_CHARACTERS * 2, ["x" * 100] * MAXIMUM_VALUE_CHARACTERS])
def test_value_that_is_too_large_is_not_kept_and_its_size_is(value: PlistValue) -> None:
    form = to_json(value)

    assert isinstance(form, dict)
    assert form.keys() == {"$cut"}
    assert from_json(form) is None
    assert "too large" in in_words(form)


def test_longest_text_is_kept() -> None:
    longest = "x" * MAXIMUM_VALUE_CHARACTERS

    assert to_json(longest) == longest


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        ("text", "text"),
        (WHEN, "2026-11-22T14:31:07Z"),
        (b"\x00" * 30, "30 bytes"),
        (["a", {"b": 1}], '["a", {"b": 1}]'),
    ],
)
def test_value_is_said_in_a_line(value: PlistValue, words: str) -> None:
    assert in_words(to_json(value)) == words
