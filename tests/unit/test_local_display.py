"""That the demo is seen to live: in a terminal all the time, in a file now and then."""

import io

from rich.console import Console

from local.display import BEAT, Display


class Watch:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def plain() -> tuple[Display, Watch, io.StringIO]:
    """A display that writes to no terminal."""
    written, watch = io.StringIO(), Watch()
    return Display(Console(file=written, soft_wrap=True), watch), watch, written


def test_without_a_terminal_a_line_tells_now_and_then_what_is_waited_for() -> None:
    """Forty silent seconds look like a hang; a line for each look would fill the log of a build."""
    display, watch, written = plain()
    with display:
        for second in range(46):
            watch.now = float(second)
            display.wait("the Spark job", "1 of 2")
    beats = [f"  {int(BEAT * beat)} s: the Spark job: 1 of 2" for beat in (1, 2, 3)]
    assert written.getvalue().splitlines() == beats


def test_what_was_just_said_is_not_said_again() -> None:
    """A line of any kind is a sign of life; seconds count from the stage's own beginning."""
    display, watch, written = plain()
    display.wait("one")
    watch.now = BEAT - 1
    display.say("news")
    watch.now = BEAT + 1
    display.wait("one")
    display.progress(8, 48)
    watch.now = 2 * BEAT
    display.wait("two")
    watch.now = 3 * BEAT
    display.wait("two")
    assert written.getvalue().splitlines() == ["- news", "  8 of 48 markets", "  15 s: two"]


def test_in_a_terminal_the_line_lives_without_anybody_calling() -> None:
    """What blocks for seconds, such as the start of the stack, must not freeze the seconds shown."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100)
    with Display(console) as display:
        display.wait("starting [all]")
        lived = [display.lives]
        display.say("up")
    assert [*lived, display.lives] == [True, False]
    assert "starting [all]" in written.getvalue()
    assert "- up" in written.getvalue()
