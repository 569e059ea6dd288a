"""The alias table: a weighted draw in constant time.

As many columns as things to draw, all of the same height, each shared by at most two.

References:
    Vose, "A Linear Algorithm for Generating Random Numbers with a Given Distribution",
    IEEE Transactions on Software Engineering 17 (9), 1991.
"""

from __future__ import annotations

from collections.abc import Sequence


def alias_table(weights: Sequence[float]) -> list[tuple[float, int]]:
    """Return the columns: the part of each that is its own, and who has the rest.

    Args:
        weights: At least one is above 0, and none below.
    """
    mean = sum(weights) / len(weights)
    heights = [weight / mean for weight in weights]
    columns = [(1.0, index) for index in range(len(weights))]
    low = [index for index, height in enumerate(heights) if height < 1]
    high = [index for index, height in enumerate(heights) if height >= 1]
    while low and high:
        index, giver = low.pop(), high[-1]
        columns[index] = (heights[index], giver)
        heights[giver] -= 1 - heights[index]
        if heights[giver] < 1:
            low.append(high.pop())
    return columns
