"""Personal data: what has a form of its own is found on real data, what only looks like it is left."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scrubbing import measure
from rag.errors import WrongUsage
from rag.scrubbing import KINDS, STRUCTURED, Kind, Scrubber, find, kinds, luhn, mod_97

FOUND: list[tuple[Kind, str]] = [
    ("email", "ada.lovelace+tag@example.co.uk"),
    ("email", "o'brien@example.org"),
    ("email", "user@bücher.example"),
    ("url", "https://example.org/a_(b)?q=1#x"),
    ("url", "www.example.org"),
    ("url", "example.com/path"),
    ("ip", "192.168.0.1"),
    ("ip", "2001:db8::8a2e:370:7334"),
    ("ip", "::1"),
    ("ip", "10.0.0.0/8"),
    ("card", "4111 1111 1111 1111"),
    ("card", "378282246310005"),
    ("card", "6011-1111-1111-1117"),
    ("card", "30569309025904"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "gb82west12345698765432"),
    ("iban", "NO9386011117947"),
    ("ssn", "536-90-4399"),
    ("ssn", "536 90 4399"),
    ("phone", "+49 30 901820"),
    ("phone", "+1 (415) 555-0132"),
    ("phone", "(415) 555-0132"),
    ("phone", "415.555.0132 x12"),
    ("phone", "01 42 68 53 00"),
    ("phone", "555-0132"),
    ("phone", "020 7946 0958"),
    ("address", "221 Baker Street, Apt. 4, Springfield, IL 62704"),
    ("address", "PO Box 1234"),
]
LEFT = [
    "On 2026-11-21 12:20:39, or 21.11.2026, or 11/21/2026.",
    "Version 1.10.16.100 and v2.0.0.1 came later.",
    "About 1 234 567 people, 12.345.678 of them, 0.603-0.611 at most.",
    "Pages 1204-1398 and the years 1939-1945.",
    "The card 4111 1111 1111 1112 has a wrong digit, GB82WEST12345698765431 too.",
    "000-12-3456 and 666-12-3456 were never given out.",
    "std::vector<int>::size and 12:30:45 are no addresses, 999.1.1.1 neither.",
    "README.md, main.py, e.g. this@that, a@b, ASP.NET.",
    "ISBN 978-3-16-148410-0, ZIP 12345-6789, order 10002000300, at 1764000000.",
    "The meaning is: drive 10 miles via the bridge. Background: none.",
]


@pytest.mark.parametrize(("kind", "value"), FOUND)
def test_what_has_a_form_is_found_whole(kind: Kind, value: str) -> None:
    for text in (value, f"It is {value}.", f"({value})", f"<{value}>, says Ada", f"é {value}\nnext"):
        taken = [(one.kind, text[one.start : one.end]) for one in find(text)]
        assert (kind, value) in taken, text


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert [(one.kind, text[one.start : one.end]) for one in find(text)] == []


def test_check_digits() -> None:
    assert luhn("79927398713")
    assert not any(luhn(f"7992739871{digit}") for digit in "012456789")
    assert mod_97("GB82WEST12345698765432")
    assert not mod_97("GB28WEST12345698765432")


def test_a_bare_number_is_a_telephone_only_where_it_is_announced() -> None:
    assert find("Call 1155550132 today")[0].kind == "phone"
    assert find("Invoice 1155550132 is due") == []
    assert find("It is 4155550132, or 02079460958")[1].kind == "phone", "unless it has the form of one"
    assert find("His SSN is 536904399")[0].kind == "ssn"


def test_one_value_has_one_placeholder_in_a_conversation() -> None:
    scrubber = Scrubber()
    first = scrubber.scrub("My name is Ada Lovelace, write to Ada@Example.org or bob@example.org, +49 30 901820.")
    assert first == "My name is <NAME_1>, write to <EMAIL_1> or <EMAIL_2>, <PHONE_1>."
    assert scrubber.scrub("ada@example.org, +49-30-901820: Lovelace!") == "<EMAIL_1>, <PHONE_1>: <NAME_2>!"
    assert scrubber.replaced["email"] == 3
    assert Scrubber().scrub("bob@example.org") == "<EMAIL_1>"
    assert Scrubber(("phone",)).scrub("a@example.org") == "a@example.org"


def test_a_word_of_its_own_names_nobody() -> None:
    assert Scrubber().scrub("My name is Mark Price. Mark it, for the price. Price?") == (
        "My name is <NAME_1>. <NAME_2> it, for the price. Price?"
    )


def test_kinds_are_named() -> None:
    assert kinds("all") == KINDS
    assert kinds("structured") == STRUCTURED
    assert kinds("phone, email") == ("email", "phone")
    for wrong in ("", "mail", "email,shoe"):
        with pytest.raises(WrongUsage, match="no kind of personal data"):
            kinds(wrong)


@given(st.text(max_size=200) | st.text("0123456789 -./()+@:abAB\n", max_size=80))
def test_any_text_can_be_scrubbed(text: str) -> None:
    taken = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in taken)
    assert all(one.end <= other.start for one, other in pairwise(taken))
    left = Scrubber().scrub(text)
    assert (left == text) == (not taken)


def test_structured_kinds_on_real_data(shared_data: Path) -> None:
    file = shared_data / "pii-presidio-even" / "examples.jsonl"
    if not file.is_file():
        pytest.skip(f"real data absent: {file}")
    found = measure([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])
    for kind in STRUCTURED:
        recall = found[kind].recall
        assert recall is not None
        assert recall >= 0.99, (kind, found[kind].missed)
        assert found[kind].wrongly == 0, kind
    name, address = found["name"], found["address"]  # told by their surroundings alone: reported, and seldom wrong
    assert name.wrongly + address.wrongly <= 0.05 * (name.taken + address.taken)
