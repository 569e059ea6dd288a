"""What happens when in the demo.  Pure: it is told the time and what can be seen.

The times are the earliest ones.
On a busy machine the demo rather takes longer than it says something untrue: the
server is not started again before it was ejected, and the end waits for its return.
"""

from __future__ import annotations

from enum import Enum

from lbtransport._demo.fleet import PATIENCE

_KILL = 0.3  # of all the time
_RESTART = 0.5
_NEWS = 1.0  # seconds for which the death is the news, so that it can be read
_REST = 1.0  # seconds of traffic, at least, after the return


class Stage(Enum):
    """Where the story is."""

    STEADY = "steady"
    DYING = "dying"  # killed; the balancer finds out
    DEAD = "dead"  # ejected
    STARTING = "starting"  # its process was started again
    WAITING = "waiting"  # it listens, and its trial is still to come
    BACK = "back"
    OVER = "over"


_STAGES = list(Stage)
_STAGES_THAT_MAY_LAST = {Stage.STEADY, Stage.DEAD, Stage.BACK, Stage.OVER}


class Timeline:
    """Knows the stage; moves on when it is time and when what must precede is seen.

    Attributes:
        seconds: How long the demo takes, at least.
        stage: Where the story is.
        since: Seconds from the beginning to that of the stage.
    """

    def __init__(self, seconds: float) -> None:
        """Begin."""
        self.seconds = seconds
        self.stage = Stage.STEADY
        self.since = 0.0

    def advance(
        self, elapsed: float, *, is_in_rotation: bool, is_listening: bool
    ) -> bool:
        """Move on by one stage if it is time, or to the end if nothing moves any more.

        Args:
            elapsed: Seconds since the beginning.
            is_in_rotation: Whether the balancer uses the server that dies.
            is_listening: Whether its process listens.

        Returns:
            Whether a new stage began.
        """
        is_time = {
            Stage.STEADY: elapsed >= _KILL * self.seconds,
            Stage.DYING: not is_in_rotation and elapsed >= self.since + _NEWS,
            Stage.DEAD: elapsed >= _RESTART * self.seconds,
            Stage.STARTING: is_listening,
            Stage.WAITING: is_in_rotation,
            Stage.BACK: elapsed >= max(self.seconds, self.since + _REST),
            Stage.OVER: False,
        }
        if is_time[self.stage]:
            self.stage = _STAGES[_STAGES.index(self.stage) + 1]
        elif self._is_stuck(elapsed):
            self.stage = Stage.OVER
        else:
            return False
        self.since = elapsed
        return True

    def _is_stuck(self, elapsed: float) -> bool:
        may_last = self.stage in _STAGES_THAT_MAY_LAST
        return not may_last and elapsed - self.since > PATIENCE
