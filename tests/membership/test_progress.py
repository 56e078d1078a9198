"""What is said while shadow models are made."""

import io

from dpaudit.membership import ShadowProgress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def told(updates, **more):
    clock, stream = Clock(), io.StringIO()
    with ShadowProgress(stream=stream, clock=clock, **more) as progress:
        for seconds, done, total in updates:
            clock.now = seconds
            progress(done, total)
    return stream.getvalue().splitlines()


def test_a_plain_line_every_ten_seconds_with_the_time_left():
    lines = told([(0.0, 0, 100), (5.0, 10, 100), (12.0, 20, 100), (13.0, 21, 100), (30.0, 50, 100)])
    assert lines == [
        "20 of 100 shadow models, at most 48 s left",
        "50 of 100 shadow models, at most 30 s left",
    ]


def test_models_found_in_a_store_do_not_count_as_speed():
    assert told([(0.0, 90, 100), (10.0, 95, 100)]) == ["95 of 100 shadow models, at most 10 s left"]


def test_the_end_has_no_time_left():
    assert told([(20.0, 4, 4)], what="targets") == ["4 of 4 targets"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_live_line_that_goes_away():
    stream = Terminal()
    with ShadowProgress(stream=stream) as progress:
        progress(3, 6)
        progress._line._live.refresh()
    assert "3 of 6 shadow models" in stream.getvalue()
    progress(4, 6)  # after the end it is silent until ten seconds have passed, and does not fail
