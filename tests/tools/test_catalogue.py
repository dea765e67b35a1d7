"""The catalogue's table is what its generator makes of Apple's schema."""

import os
from pathlib import Path

import pytest
from tools.catalogue import UnknownFact, main, table_module

TABLE = Path(__file__).parents[2] / "src" / "muster" / "protocol" / "catalogue" / "table.py"
SCHEMA = "MUSTER_TEST_APPLE_SCHEMA"

COMMAND = """
payload:
  requesttype: Ring
  supportedOS:
    iOS: {introduced: '9.0', accessrights: AllowDeviceErase, supervised: true, sharedipad: {mode: forbidden}}
    macOS: {introduced: n/a}
payloadkeys:
- {key: Volume, type: <integer>, presence: required, range: {min: 1, max: 9}, content: How loud.}
- key: Bells
  type: <array>
  repetition: {min: 1}
  subkeys:
  - {key: Bell, type: <string>, rangelist: [small, large], format: '^.+$', default: small}
"""


def schema(folder: Path, command: str = COMMAND) -> Path:
    commands = folder / "mdm" / "commands"
    commands.mkdir(parents=True)
    (commands / "ring.yaml").write_text(command)
    (folder / "LICENSE.txt").write_text("Do as you like.\n")
    return folder


def test_the_table_is_what_the_schema_says() -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    if SCHEMA not in os.environ:
        pytest.skip(f"{SCHEMA} does not name a folder of Apple's schema")

    made = table_module(Path(os.environ[SCHEMA]))

    assert made == TABLE.read_text(encoding="utf-8"), "make it anew: python -m tools.catalogue FOLDER"


def test_facts_are_taken_and_sentences_left(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")

    made = table_module(schema(tmp_path))

    assert made.partition('"""\\\n')[2].splitlines() == [
        '{"c":"Ring","os":{"iOS":{"in":"9.0","sup":1,"ar":8,"sp":"forbidden"},"macOS":null}}',
        ' {"k":"Volume","t":"integer","p":1,"r":[1,9]}',
        ' {"k":"Bells","t":"array","n":[1,null]}',
        '  {"k":"Bell","t":"string","e":["small","large"],"d":"small","f":"^.+$"}',
        '"""',
    ]
    assert "Do as you like." in made


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("presence: required", "presence: sometimes"),
        ("range:", "reach:"),
        ("AllowDeviceErase", "AllowEverything"),
        ("macOS:", "toasterOS:"),
        ("supervised:", "overseen:"),
        ("'^.+$'", "'\\d'"),
    ],
)
def test_fact_that_has_no_place_in_the_table_is_not_left_out_silently(tmp_path: Path, said: str, instead: str) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    folder = schema(tmp_path, COMMAND.replace(said, instead))

    with pytest.raises(UnknownFact):
        table_module(folder)


def test_folder_without_commands_is_said_to_be_another(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    folder = schema(tmp_path)
    (folder / "mdm" / "commands" / "ring.yaml").unlink()

    with pytest.raises(FileNotFoundError):
        table_module(folder)


def test_generator_needs_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
