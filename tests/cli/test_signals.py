"""`muster signals`: who may set up a stream, and which keys sign."""

from tests.support.command_line import CommandLine

AUDIENCE = "https://idp.example"


def test_receiver_is_let_in_listed_and_removed(muster: CommandLine) -> None:
    before = muster.run("signals", "receiver", "list")[1]
    made = muster("signals", "receiver", "add", "idp", "--audience", AUDIENCE)
    another = muster.run("signals", "receiver", "rotate-token", "idp")

    (row,) = muster("signals", "receiver", "list")
    table = muster.run("signals", "receiver", "list")[1]
    removed = muster.run("signals", "receiver", "remove", "idp")

    assert before == "No receivers. `muster signals receiver add` lets one in.\n"
    assert (made["name"], made["audience"], len(made["token"])) == ("idp", AUDIENCE, 32)
    assert another[1].strip() != made["token"]
    assert another[2] == "idp may set up its stream; the line above is its token.\n"
    assert (row["name"], row["stream_id"], row["waiting"]) == ("idp", None, 0)
    assert "not set up" in table
    assert made["token"] not in table
    assert removed == (0, "", "idp is told no more.\n")


def test_key_is_made_with_the_first_receiver_and_replaced(muster: CommandLine) -> None:
    assert muster("signals", "key", "list") == []
    muster("signals", "receiver", "add", "idp", "--audience", AUDIENCE)

    rotated = muster("signals", "key", "rotate")
    first, second = muster("signals", "key", "list")
    table = muster.run("signals", "key", "list")[1]

    assert (first["is_signing"], second["is_signing"]) == (True, False)
    assert second["kid"] == rotated["kid"]
    assert table.count("signs") == 1


def test_stream_that_is_not_set_up_can_not_be_paused(muster: CommandLine) -> None:
    muster("signals", "receiver", "add", "idp", "--audience", AUDIENCE)

    for command in ("pause", "disable", "resume"):
        code, _, said = muster.run("signals", "stream", command, "idp")
        assert code == 3
        assert "idp has no stream" in said
