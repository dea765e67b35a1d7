"""Forms with files come as browsers send them, and whatever else comes is refused and no error of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.console.uploads import split_parts

TYPE = "multipart/form-data; boundary=----WebKitFormBoundaryAbc"
BOUNDARY = b"------WebKitFormBoundaryAbc"


def body(*parts: tuple[str, bytes], boundary: bytes = BOUNDARY) -> bytes:
    """What a browser sends: a line of Content-Disposition, and the content."""
    told = b"".join(
        boundary + b"\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return told + boundary + b"--\r\n"


def test_fields_and_files_are_told_apart() -> None:
    sent = body(
        ('name="a"', "Bücher".encode()),
        ('name="cert"; filename="push.pem"\r\nContent-Type: application/x-pem-file', b"\r\n\x00\xff--\r\n\r\n"),
        ('name="key"; filename=""\r\nContent-Type: application/octet-stream', b""),
    )

    assert split_parts(TYPE, sent) == ([("a", "Bücher")], {"cert": b"\r\n\x00\xff--\r\n\r\n"})


@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        ("application/x-www-form-urlencoded", b"a=b"),
        ("multipart/form-data", body()),
        (TYPE, b""),
        (TYPE, body(('name="a"', b"b"))[:-4]),
        (TYPE, b"preamble" + body(('name="a"', b"b"))),
        (TYPE, body(("", b"b"))),
        (TYPE, body(('name="a"', b"\xff"))),
        (TYPE, body(('name="a"\r\nX: ' + "x" * 5000, b"b"))),
        (TYPE, body(*[('name="a"', b"")] * 300)),
    ],
)
def test_what_is_no_such_form_is_refused(content_type: str, sent: bytes) -> None:
    with pytest.raises(ValueError, match=r"boundary|name|utf-8"):
        split_parts(content_type, sent)


@given(st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), st.binary(max_size=60), max_size=4))
def test_files_come_out_as_they_went_in(files: dict[str, bytes]) -> None:
    sent = body(*((f'name="{name}"; filename="f"', content) for name, content in files.items()))

    assert split_parts(TYPE, sent) == ([], files)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_noise_is_refused_or_read(noise: bytes, at: int) -> None:
    sent = body(('name="a"', b"b"), ('name="f"; filename="x"', noise))
    broken = sent[:at] + noise + sent[at + len(noise) :]

    try:
        fields, files = split_parts(TYPE, broken)
    except ValueError:
        return
    assert sum(len(value) for _, value in fields) + sum(map(len, files.values())) <= len(broken)
