from __future__ import annotations

from lbtransport._demo.fleet import PATIENCE
from lbtransport._demo.timeline import Stage, Timeline


def advance(
    timeline: Timeline, elapsed: float, *, rotating: bool = True, up: bool = True
) -> Stage:
    timeline.advance(elapsed, is_in_rotation=rotating, is_listening=up)
    return timeline.stage


def test_story_is_told_in_its_order() -> None:
    timeline = Timeline(10)

    assert advance(timeline, 2.9) is Stage.STEADY
    assert advance(timeline, 3.0) is Stage.DYING
    assert advance(timeline, 4.0, rotating=False, up=False) is Stage.DEAD
    assert advance(timeline, 5.0, rotating=False, up=False) is Stage.STARTING
    assert advance(timeline, 5.3, rotating=False) is Stage.WAITING
    assert advance(timeline, 6.1) is Stage.BACK
    assert advance(timeline, 9.9) is Stage.BACK
    assert advance(timeline, 10.0) is Stage.OVER
    assert advance(timeline, 99.0) is Stage.OVER


def test_death_stays_the_news_for_a_second() -> None:
    timeline = Timeline(10)
    advance(timeline, 3.0)

    assert advance(timeline, 3.9, rotating=False) is Stage.DYING
    assert advance(timeline, 4.0, rotating=False) is Stage.DEAD


def test_server_is_not_started_again_before_it_was_ejected() -> None:
    timeline = Timeline(10)
    advance(timeline, 3.0)

    assert advance(timeline, 8.0) is Stage.DYING
    assert advance(timeline, 8.1, rotating=False) is Stage.DEAD
    assert advance(timeline, 8.2, rotating=False) is Stage.STARTING


def test_end_waits_for_the_return_and_some_traffic_after_it() -> None:
    timeline = Timeline(2)
    advance(timeline, 0.6)
    for elapsed in (1.6, 1.7, 1.8):
        advance(timeline, elapsed, rotating=False)

    assert advance(timeline, 4.0, rotating=False) is Stage.WAITING
    assert advance(timeline, 4.1) is Stage.BACK
    assert advance(timeline, 5.0) is Stage.BACK
    assert advance(timeline, 5.1) is Stage.OVER


def test_story_that_does_not_go_on_ends() -> None:
    timeline = Timeline(10)
    advance(timeline, 3.0)

    assert advance(timeline, 3.0 + PATIENCE) is Stage.DYING
    assert advance(timeline, 3.1 + PATIENCE) is Stage.OVER


def test_stage_that_waits_for_time_alone_lasts_as_long_as_that() -> None:
    timeline = Timeline(100 * PATIENCE)

    assert advance(timeline, 2 * PATIENCE) is Stage.STEADY


def test_advancing_tells_whether_a_new_stage_began() -> None:
    timeline = Timeline(10)

    assert not timeline.advance(2.0, is_in_rotation=True, is_listening=True)
    assert timeline.advance(3.0, is_in_rotation=True, is_listening=True)
    assert not timeline.advance(3.0, is_in_rotation=True, is_listening=True)
