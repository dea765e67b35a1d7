"""`muster witnesses`: added with a token that is shown once, listed, given another token, removed."""

from tests.support.command_line import CommandLine


def test_token_is_shown_once(muster: CommandLine) -> None:
    code, out, said = muster.run("witnesses", "add", "osquery", "--kind", "agent")
    token = out.strip()  # and nothing else, for scripts

    assert code == 0
    assert len(token) == 32
    assert "not shown again" in said
    _, listed, _ = muster.run("witnesses", "list")
    assert "osquery" in listed
    assert token not in listed


def test_witness_gets_another_token(muster: CommandLine) -> None:
    made = muster("witnesses", "add", "okta", "--kind", "idp")

    assert muster("witnesses", "rotate", "okta")["token"] != made["token"]


def test_removed_witness_is_listed_no_more(muster: CommandLine) -> None:
    muster("witnesses", "add", "okta", "--kind", "idp")

    code, out, _ = muster.run("witnesses", "remove", "okta")

    assert (code, "may say no more" in out) == (0, True)
    assert muster("witnesses", "list") == []
    assert muster.run("witnesses", "remove", "okta")[0] == 3


def test_kind_and_name_have_to_fit(muster: CommandLine) -> None:
    assert muster.run("witnesses", "add", "okta", "--kind", "oracle")[0] == 2
    assert muster.run("witnesses", "add", "Okta!", "--kind", "idp")[0] == 2
