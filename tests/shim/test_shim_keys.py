"""Keys, composite keys and ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_shim import ArgumentError, create_composite_key, split_composite_key
from fabric_shim.keys import all_composite_range, check_key, composite_range, simple_range

parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\U0010ffff"))


@given(object_type=parts, attributes=st.lists(parts, max_size=4))
def test_a_composite_key_splits_into_what_it_was_made_of(object_type: str, attributes: list[str]) -> None:
    key = create_composite_key(object_type, attributes)
    assert split_composite_key(key) == (object_type, tuple(attributes))
    start, end = composite_range(object_type, attributes[:1])
    # Keys are ordered by their UTF-8 bytes, which for Python's text is the order of code points.
    assert start <= key < end
    first, last = all_composite_range()
    assert first <= key < last


def test_a_composite_key_closes_each_part() -> None:
    assert create_composite_key("asset", ["red", "a1"]) == "\0asset\0red\0a1\0"


@pytest.mark.parametrize("part", ["a\0b", "\U0010ffff", "\ud800"])
def test_a_part_that_would_break_a_composite_key_is_refused(part: str) -> None:
    with pytest.raises(ArgumentError, match="composite key"):
        create_composite_key("asset", [part])


@pytest.mark.parametrize("key", ["", "\0", "asset", "\0asset", "asset\0"])
def test_what_is_no_composite_key_is_not_split(key: str) -> None:
    with pytest.raises(ArgumentError, match="no composite key"):
        split_composite_key(key)


@pytest.mark.parametrize("key", ["", "\udfff"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ArgumentError, match="key"):
        check_key(key)


def test_an_open_range_leaves_composite_keys_out() -> None:
    assert simple_range("", "") == ("\x01", "")
    assert simple_range("a", "c") == ("a", "c")


@pytest.mark.parametrize("bounds", [("\0a", ""), ("", "\0"), ("\ud800", "")])
def test_a_bound_among_composite_keys_is_refused(bounds: tuple[str, str]) -> None:
    with pytest.raises(ArgumentError, match="bound"):
        simple_range(*bounds)
