"""XML property lists: what is accepted, what is refused, and that bombs end quickly."""

import time
from datetime import UTC, datetime

import pytest

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist_values import MAX_DEPTH, MAX_PLIST_BYTES, PlistValue
from muster.protocol.plist_xml import read_xml_plist, read_xml_top_level

DOCTYPE = '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">'
MEGABYTE = 1024 * 1024


def plist(value: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{DOCTYPE}\n<plist version="1.0">\n{value}\n</plist>\n'.encode()


ACCEPTED: list[tuple[str, PlistValue]] = [
    ("<string></string>", ""),
    ("<string/>", ""),
    ("<string> a\tb\n</string>", " a\tb\n"),
    ("<string>a\r\nb\rc</string>", "a\nb\nc"),
    ("<string>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F34F;&#13;</string>", "<&>\"'A🍏\r"),
    ("<string>]]> is no end here</string>", "]]> is no end here"),
    ("<integer>0</integer>", 0),
    ("<integer> -7\n</integer>", -7),
    ("<integer>+7</integer>", 7),
    ("<integer>0xFf</integer>", 255),
    ("<integer>-9223372036854775808</integer>", -(2**63)),
    ("<integer>18446744073709551615</integer>", 2**64 - 1),
    ("<real>1.5</real>", 1.5),
    ("<real>-1e-3</real>", -0.001),
    ("<real>15.468269348144531</real>", 15.468269348144531),
    ("<true/>", True),
    ("<true />", True),
    ("<true></true>", True),
    ("<false/>", False),
    ("<date>2026-02-28T23:59:59Z</date>", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)),
    ("<date>0001-01-01T00:00:00Z</date>", datetime(1, 1, 1, tzinfo=UTC)),
    ("<date>0000-12-30T00:00:00Z</date>", datetime(1, 1, 1, tzinfo=UTC)),
    ("<string>a\x00b\x1bc\x0b</string>", "a\ufffdb\ufffdc\ufffd"),
    ("<string>&#0;&#x1b;</string>", "\ufffd\ufffd"),
    ("<dict><key>a\x07</key><true/></dict>", {"a\ufffd": True}),
    ("<data/>", b""),
    ("<data>\n\tAAEC\r\n\tAwQ=\n</data>", b"\x00\x01\x02\x03\x04"),
    ("<array/>", []),
    ("<array><integer>1</integer><array></array></array>", [1, []]),
    ("<dict/>", {}),
    ("<dict></dict>", {}),
    ("<dict><key/><true/></dict>", {"": True}),
    ("<dict><key>a&amp;b</key><string>c</string></dict>", {"a&b": "c"}),
    ("<dict ><key >a</key ><dict ></dict ></dict >", {"a": {}}),
    ("<dict><!-- why --><key>a</key><!----><integer>1</integer></dict>", {"a": 1}),
]


@pytest.mark.parametrize(("xml", "value"), ACCEPTED)
def test_element_means_its_value(xml: str, value: PlistValue) -> None:
    assert repr(read_xml_plist(plist(xml))) == repr(value)


@pytest.mark.parametrize(("xml", "value"), ACCEPTED)
def test_element_means_its_value_within_containers_and_is_stepped_over(xml: str, value: PlistValue) -> None:
    nested = plist(f"<dict><key>k</key><array><dict><key>l</key>{xml}</dict></array><key>m</key>{xml}</dict>")

    assert repr(read_xml_plist(nested)) == repr({"k": [{"l": value}], "m": value})
    assert read_xml_top_level(nested, frozenset()) == {}
    if not isinstance(value, dict | list):
        assert repr(read_xml_top_level(nested, frozenset({"m"}))) == repr({"m": value})


REFUSED = {
    "nothing": "",
    "text alone": "hello",
    "text beside an element": "<string>a</string>b",
    "two values": "<true/><true/>",
    "unknown element": "<widget/>",
    "null": "<null/>",
    "element in upper case": "<STRING>a</STRING>",
    "element in a scalar": "<string><true/></string>",
    "comment in a scalar": "<string>a<!-- b --></string>",
    "comment that does not end": "<!-- ",
    "comment with two dashes": "<!-- -- --><true/>",
    "character data section": "<string><![CDATA[a]]></string>",
    "processing instruction": "<?php ?><true/>",
    "attribute": '<string id="a">b</string>',
    "namespace": '<p:dict xmlns:p="urn:p"/>',
    "mismatched ends": "<string>a</integer>",
    "end without beginning": "</dict>",
    "array ended as dictionary": "<array></dict>",
    "dictionary ended as array": "<dict></array>",
    "missing end": "<dict><key>a</key>",
    "key outside a dictionary": "<key>a</key>",
    "empty key outside a dictionary": "<key/>",
    "key in an array": "<array><key>a</key></array>",
    "value without key": "<dict><string>a</string></dict>",
    "container without key": "<dict><array/></dict>",
    "key without value": "<dict><key>a</key></dict>",
    "key after key": "<dict><key>a</key><key>b</key></dict>",
    "key twice": "<dict><key>a</key><true/><key>a</key><true/></dict>",
    "key twice, written in two ways": "<dict><key>a</key><true/><key>&#97;</key><true/></dict>",
    "text in a dictionary": "<dict>a</dict>",
    "text in an array": "<array>a<true/></array>",
    "undefined entity": "<string>&nbsp;</string>",
    "bare ampersand": "<string>a & b</string>",
    "reference to a surrogate": "<string>&#xD800;</string>",
    "reference beyond Unicode": "<string>&#x110000;</string>",
    "control character between elements": "\x07<true/>",
    "control character in a tag": "<str\x07ing>a</string>",
    "control character for an integer": "<integer>\x07</integer>",
    "empty integer": "<integer/>",
    "blank integer": "<integer> </integer>",
    "words for an integer": "<integer>seven</integer>",
    "integer with underscore": "<integer>1_0</integer>",
    "integer with a point": "<integer>1.0</integer>",
    "integer in other digits": "<integer>٣</integer>",
    "integer of 65 bits": "<integer>18446744073709551616</integer>",
    "negative integer of 65 bits": "<integer>-9223372036854775809</integer>",
    "integer of 5,000 digits": f"<integer>{'9' * 5000}</integer>",
    "hexadecimal integer of 100,000 digits": f"<integer>0x{'f' * 100_000}</integer>",
    "hexadecimal without digits": "<integer>0x</integer>",
    "empty real": "<real/>",
    "NaN": "<real>nan</real>",
    "infinity": "<real>inf</real>",
    "real too large": "<real>1e999</real>",
    "real with underscore": "<real>1_0.0</real>",
    "real of 5,000 digits": f"<real>{'9' * 5000}</real>",
    "date without time": "<date>2026-01-01</date>",
    "date with zone": "<date>2026-01-01T00:00:00+01:00</date>",
    "date with fraction": "<date>2026-01-01T00:00:00.5Z</date>",
    "month 13": "<date>2026-13-01T00:00:00Z</date>",
    "day 30 of February": "<date>2026-02-30T00:00:00Z</date>",
    "month 13 of year 0": "<date>0000-13-01T00:00:00Z</date>",
    "empty date": "<date/>",
    "junk for data": "<data>@@@@</data>",
    "data without padding": "<data>AAE</data>",
    "data with padding inside": "<data>AA==AAEC</data>",
    "data outside ASCII": "<data>ÄAEC</data>",
    "true with text": "<true>no</true>",
}


@pytest.mark.parametrize("xml", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_property_list_is_refused(xml: str) -> None:
    with pytest.raises(MalformedMessage):
        read_xml_plist(plist(xml))


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"nothing", "two values"}))
def test_what_is_no_value_is_refused_in_an_array(name: str) -> None:
    with pytest.raises(MalformedMessage):
        read_xml_plist(plist(f"<array>{REFUSED[name]}</array>"))


@pytest.mark.parametrize("xml", REFUSED.values(), ids=REFUSED.keys())
def test_top_level_refuses_it_as_the_value_of_a_wanted_key(xml: str) -> None:
    with pytest.raises(MalformedMessage):
        read_xml_top_level(plist(f"<dict><key>k</key>{xml}</dict>"), frozenset({"k", "a", "b"}))


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<widget/>",
        "</array>",
        "<array>",
        "<array></dict>",
        "<array><string></array>",
        "<array>text</array>",
        "<?p?>",
    ],
)
def test_what_is_stepped_over_must_be_nested_properly(xml: str) -> None:
    with pytest.raises(MalformedMessage):
        read_xml_top_level(plist(f"<dict><key>other</key>{xml}</dict>"), frozenset({"k"}))


VALID = "<dict/>"
DOCUMENTS_ACCEPTED = {
    "bare": f"<plist>{VALID}</plist>",
    "other quotes": f"<?xml version='1.0' encoding='utf-8' standalone='yes'?><plist version='1.0'>{VALID}</plist>",
    "no doctype": f'<?xml version="1.0"?><plist version="1.0">{VALID}</plist>',
    "short doctype": f"<!DOCTYPE plist>{VALID.join(['<plist>', '</plist>'])}",
    "byte order mark": f"\ufeff<plist>{VALID}</plist>",
    "space around": f"\n\n<plist>{VALID}</plist>\n\n",
    "comments around": f"<!-- a --><plist><!-- b -->{VALID}<!-- c --></plist><!-- d -->",
    "Windows line ends": f"<?xml version='1.0'?>\r\n<plist>\r\n{VALID}\r\n</plist>\r\n",
}
DOCUMENTS_REFUSED = {
    "nothing": "",
    "no plist": VALID,
    "empty plist": "<plist></plist>",
    "childless plist": "<plist/>",
    "plist that does not end": f"<plist>{VALID}",
    "something after it": f"<plist>{VALID}</plist><plist>{VALID}</plist>",
    "text after it": f"<plist>{VALID}</plist>.",
    "another root": f"<property-list>{VALID}</property-list>",
    "another attribute": f'<plist xmlns="urn:x">{VALID}</plist>',
    "another encoding declared": f'<?xml version="1.0" encoding="UTF-7"?><plist>{VALID}</plist>',
    "another document type": f"<!DOCTYPE html><plist>{VALID}</plist>",
    "internal subset": f"<!DOCTYPE plist [ ]><plist>{VALID}</plist>",
    "billion laughs": (
        '<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
        "<plist><dict><key>k</key><string>&b;</string></dict></plist>"
    ),
    "external entity": (
        '<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        "<plist><dict><key>k</key><string>&a;</string></dict></plist>"
    ),
    "parameter entity": f'<!DOCTYPE plist [<!ENTITY % a SYSTEM "http://127.0.0.1/a">%a;]><plist>{VALID}</plist>',
    "default attributes": f'<!DOCTYPE plist [<!ATTLIST dict a CDATA "b">]><plist>{VALID}</plist>',
    "stylesheet": f'<?xml-stylesheet href="a"?><plist>{VALID}</plist>',
}


@pytest.mark.parametrize("document", DOCUMENTS_ACCEPTED.values(), ids=DOCUMENTS_ACCEPTED.keys())
def test_document_of_this_form_is_accepted(document: str) -> None:
    assert read_xml_plist(document.encode()) == {}
    assert read_xml_top_level(document.encode(), frozenset({"a"})) == {}


@pytest.mark.parametrize("document", DOCUMENTS_REFUSED.values(), ids=DOCUMENTS_REFUSED.keys())
def test_document_of_this_form_is_refused(document: str) -> None:
    with pytest.raises(MalformedMessage):
        read_xml_plist(document.encode())
    with pytest.raises(MalformedMessage):
        read_xml_top_level(document.encode(), frozenset({"a"}))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "cp037"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(MalformedMessage):
        read_xml_plist("<plist><string>a</string></plist>".encode(encoding))


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(MalformedMessage, match="UTF-8"):
        read_xml_plist(b"<plist><string>\xe4</string></plist>")


def test_key_wanted_from_the_top_level_may_not_be_there_twice() -> None:
    twice = plist("<dict><key>k</key><true/><key>other</key><array/><key>&#107;</key><false/></dict>")

    with pytest.raises(MalformedMessage, match="twice"):
        read_xml_top_level(twice, frozenset({"k"}))


def test_containers_nest_to_the_limit_and_no_deeper() -> None:
    deepest = "<array>" * MAX_DEPTH + "</array>" * MAX_DEPTH
    too_deep = f"<array>{deepest}</array>"

    assert read_xml_plist(plist(deepest))
    with pytest.raises(MalformedMessage, match=f"deeper than {MAX_DEPTH}"):
        read_xml_plist(plist(too_deep))
    assert read_xml_top_level(plist(f"<dict><key>a</key>{deepest}</dict>"), frozenset()) == {}
    with pytest.raises(MalformedMessage, match=f"deeper than {MAX_DEPTH}"):
        read_xml_top_level(plist(f"<dict><key>a</key>{too_deep}</dict>"), frozenset())


@pytest.mark.parametrize(
    "bomb",
    [
        b"<plist>" + b"<array>" * (2 * MEGABYTE),
        b"<plist><dict><key>a</key>" + b"<array>" * (2 * MEGABYTE),
        b"<plist><dict><key>" + b"a" * (15 * MEGABYTE),
        b"<plist><dict><key>a</key><string>" + b"a" * (15 * MEGABYTE),
        b"<plist><dict><key>a</key><!-- " + b"a" * (15 * MEGABYTE),
        b"<plist><dict>" + b" " * (15 * MEGABYTE),
        b"<plist><dict" + b" " * (15 * MEGABYTE),
        b"<plist" + b" " * (15 * MEGABYTE),
        b"<" + b"a" * (15 * MEGABYTE),
        b"<?xml " + b" " * (15 * MEGABYTE),
        b"<!DOCTYPE plist " + b" " * (15 * MEGABYTE),
        b"<plist><dict a='" + b"a" * (15 * MEGABYTE),
        b"<plist><string>" + b"&" * (15 * MEGABYTE) + b"</string></plist>",
        b"<plist><integer>" + b"9" * (15 * MEGABYTE) + b"</integer></plist>",
        b"<plist><real>" + b"9" * (15 * MEGABYTE) + b"</real></plist>",
        b"<plist><date>" + b" " * (15 * MEGABYTE) + b"</date></plist>",
        b"<!---->" * (2 * MEGABYTE),
        b"<plist><dict><key>a</key><array>" + b"<string>" * (15 * MEGABYTE // 8),
    ],
    ids=lambda bomb: bomb[:30].decode(),
)
def test_bombs_end_in_malformed_message_quickly(bomb: bytes) -> None:
    assert len(bomb) < MAX_PLIST_BYTES
    started = time.process_time()

    with pytest.raises(MalformedMessage):
        read_xml_plist(bomb)
    with pytest.raises(MalformedMessage):
        read_xml_top_level(bomb, frozenset({"UDID"}))

    # Each takes well under a second; anything worse than linear would take minutes.
    assert time.process_time() - started < 10


def test_many_elements_are_stepped_over_in_linear_time() -> None:
    body = b"<plist><dict><key>a</key><array>" + b"<true/>" * (2 * MEGABYTE) + b"</array></dict></plist>"
    started = time.process_time()

    assert read_xml_top_level(body, frozenset({"UDID"})) == {}
    assert time.process_time() - started < 10
