"""The language of templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.template_variables import MAX_VALUE_CHARACTERS, check_name, fill_in, names_in

VALUES = {"user.email": "ada@example.org", "serial": "C02", "dollars": "$$ ${serial}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${user.email}", "ada@example.org"),
        ("<${serial}/${serial}>", "<C02/C02>"),
        ("$$5", "$5"),
        ("$${serial}", "${serial}"),
        ("$$${serial}", "$C02"),
        ("${dollars}", "$$ ${serial}"),
        ("{serial} }", "{serial} }"),
    ],
)
def test_names_are_replaced_once_and_the_rest_stays(text: str, filled: str) -> None:
    assert fill_in(text, VALUES) == filled


@pytest.mark.parametrize(
    "text", ["$", "a$b", "${", "${serial", "${}", "${Serial}", "${ serial}", "${a${serial}}", "$$$"]
)
def test_dollar_that_begins_nothing_is_refused_with_its_place(text: str) -> None:
    refused = names_in(text)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.TEMPLATE_UNFIT


def test_unknown_and_empty_values_are_refused_by_name() -> None:
    refused = fill_in("${absent} ${empty} ${serial}", {**VALUES, "empty": ""})

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.message) == (
        RefusalCode.VARIABLE_UNKNOWN,
        "no value is known for ${absent}, ${empty}",
    )


def test_what_becomes_too_long_is_refused() -> None:
    assert isinstance(fill_in("${a}", {"a": "x" * MAX_VALUE_CHARACTERS}), str)
    assert isinstance(fill_in("${a}!", {"a": "x" * MAX_VALUE_CHARACTERS}), Refusal)


@pytest.mark.parametrize("name", ["", "A", "1a", "a.", ".a", "a..b", "a-b", "ä", "a" * 65, "a b", "a\n"])
def test_other_names_are_none(name: str) -> None:
    assert isinstance(check_name(name), Refusal)


@given(st.text(alphabet="${}ab.$", max_size=30))
def test_whatever_is_written_is_filled_in_or_refused(text: str) -> None:
    names = names_in(text)
    filled = fill_in(text, {"a": "1", "b": "2", "ab": "3", "ba": "4", "a.b": "5"})

    if isinstance(names, Refusal):
        assert filled == names
    elif "$" not in text:
        assert filled == text
