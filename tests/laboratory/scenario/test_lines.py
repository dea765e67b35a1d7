"""Every key of a TOML file is found where it stands."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from muster.laboratory.scenario.lines import find_lines, line_of

TEXT = '''# a comment with [brackets] and "quotes"
title = "a # that is none"   # and one that is
[a]
"b c".d = 1

long = """
[no.table]
x = 1 \\"""
"""
[[t]]
one = [ 1, # ]
  2,
  { x = "]" },
]
two = 'it''

[[t]]
[t.sub]
key = {a = 1, b = [2]}
[[t.list]]
[[t.list]]
k = 1979-05-27 07:32:00
'''


def test_keys_and_tables_are_found_whatever_stands_between_them() -> None:
    text = TEXT.replace("'it''", "'it'")
    lines = find_lines(text)

    tomllib.loads(text)
    numbered = dict(enumerate(text.splitlines(), start=1))
    assert numbered[lines[("title",)]].startswith("title")
    assert numbered[lines[("a", "b c", "d")]].startswith('"b c".d')
    assert numbered[lines[("a", "long")]] == 'long = """'
    assert numbered[lines[("t", 0, "two")]] == "two = 'it'"
    assert numbered[lines[("t", 1, "sub", "key")]].startswith("key")
    assert numbered[lines[("t", 1, "list", 1, "k")]].startswith("k =")
    assert ("no",) not in lines


def test_what_has_no_line_of_its_own_stands_where_it_is_contained() -> None:
    lines = find_lines("[[t]]\nx = {a = 1}\n")

    assert line_of(lines, ("t", 0, "x", "a")) == 2
    assert line_of(lines, ("t", 0, "missing")) == 1
    assert line_of(lines, ("nothing",)) == 1


VALUES = st.sampled_from(
    ("1", '"x"', "'#'", '"\\""', "[1,\n2 # x\n]", '{a="]"}', '"""\n[x]\n"""', "'''a'b\n'''", "true")
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=8), st.booleans())
def test_any_value_is_stepped_over(values: list[str], windows: bool) -> None:
    text = "".join(f"[[t]]\nk{number} = {value} # c\n" for number, value in enumerate(values))
    if windows:
        text = text.replace("\n", "\r\n")

    lines = find_lines(text)

    tomllib.loads(text)
    numbered = ["", *text.replace("\r\n", "\n").split("\n")]
    for number in range(len(values)):
        assert numbered[lines[("t", number, f"k{number}")]].startswith(f"k{number} =")
