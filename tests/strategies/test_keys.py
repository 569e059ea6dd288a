"""Keys become the same positions in every process, on every platform and version."""

from __future__ import annotations

import enum
import subprocess
import sys
import uuid
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError
from lbtransport.strategies._keys import hash_key, positions
from tests.strategies.hashing_kit import REMAPPED

PLAIN = st.text() | st.binary() | st.integers()


@pytest.mark.parametrize(
    ("key", "position"),
    [
        ("user-1", 0x9AAC5A8621EAE188),
        ("user-2", 0x4617C6C65FE96BC8),
        ("Łódź", 0x8D61B4B9F41F198F),
        ("", 0xE4A6A0577479B2B4),
        (b"\xff\x00", 0x8BE98A3D14D420EB),
        (17, 0x20398D138E4D7BB4),
        (-(2**70), 0x475C5167B9CDF07E),
        (("eu", 17), 0xF22CE4A71C342956),
        (("eu", ("user-1", b"x")), 0xED03EB8C4A59CD89),
    ],
)
def test_position_of_a_key_never_changes(key: Hashable, position: int) -> None:
    assert hash_key(key) == position, REMAPPED


def test_positions_that_follow_from_a_seed_never_change() -> None:
    found = list(islice(positions(b"http://10.0.0.1:8080"), 10))

    first_of_each_digest = found[0], found[8]
    assert first_of_each_digest == (0x8A7E51B65816269B, 0xC550B0C58AB19363), REMAPPED


class Region(enum.StrEnum):
    EU = "eu"


class Shard(enum.IntEnum):
    FIRST = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Region.EU, "eu"),
        (Shard.FIRST, 1),
        (True, 1),
        (17, "17"),
        ((Shard.FIRST, Region.EU), (1, "eu")),
    ],
)
def test_key_counts_by_its_value(one: Hashable, other: Hashable) -> None:
    assert hash_key(one) == hash_key(other)


@given(one=st.tuples(PLAIN, PLAIN), other=st.tuples(PLAIN, PLAIN))
def test_tuples_of_different_texts_part_ways(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    is_same = [hash_key(item) for item in one] == [hash_key(item) for item in other]

    assert (hash_key(one) == hash_key(other)) is is_same


def test_tuple_is_not_its_items_put_together() -> None:
    keys = [("ab", "c"), ("a", "bc"), ("abc",), "abc", ("a", ("b", "c"))]

    assert len({hash_key(key) for key in keys}) == len(keys)


def test_set_is_a_key_whatever_its_order() -> None:
    assert hash_key(frozenset({"a", "b"})) == hash_key(frozenset({"b", "a"}))
    assert hash_key(frozenset({"a", "b"})) != hash_key(frozenset({"a"}))


def test_long_integer_is_a_key() -> None:
    assert hash_key(10**5000) != hash_key(10**5000 + 1)


@dataclass(frozen=True)
class User:
    name: str


@pytest.mark.parametrize(
    "key", [1.5, None, uuid.UUID(int=7), User("Łódź"), (None, 2.5), User("\U0001fae9")]
)
def test_anything_with_a_repr_of_its_value_is_a_key(key: Hashable) -> None:
    assert 0 <= hash_key(key) < 2**64


class Nameless:
    pass


@pytest.mark.parametrize("key", [Nameless(), ("eu", Nameless()), lambda: None])
def test_key_whose_repr_is_an_address_is_refused(key: Hashable) -> None:
    with pytest.raises(ConfigurationError, match="give a str, bytes, int or a tuple"):
        hash_key(key)


def test_keys_are_the_same_in_processes_that_salt_their_hashes_differently() -> None:
    program = (
        "from lbtransport.strategies._keys import hash_key\n"
        "print(hash_key(frozenset({'a', 'b', 'c', 'd', ('e', 1)})), hash_key('user-1'))"
    )

    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(found) == 1
