"""What others wrote is shown in a terminal and never obeyed."""

from io import StringIO

import pytest
import yaml
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contracts.documents import DeadLetter
from ops.cli.render import Terminal, dead_letters_table, fields_table, plain
from ops.cli.session import Form, say
from ops.dead_letters import grouped
from tests.builders import NOW

HOSTILE = {
    "markup": "[/bold] [red]x[/red] [link=http://x]y[/link] :boom:",
    "colour": "a\x1b[31mred",
    "title": "a\x1b]0;owned\x07b",
    "link": "a\x1b]8;;http://x\x1b\\b",
    "C1": "a\x9b31mb\x90c\x9c",
    "backspace": "abc\b\b\bxyz\x7f",
    "bidi": "abc\u202edef\u2066ghi\u200f",
    "lines": "a\u2028b\u2029c\rd\x0be\x0cf\x85g",
    "NUL": "a\x00b",
}


def shown(*renderables: object) -> str:
    """What reaches the terminal."""
    terminal, out = Terminal(width=200), StringIO()
    terminal.file = out
    for renderable in renderables:
        terminal.print(renderable)
    return out.getvalue()


def letter(text: str) -> DeadLetter:
    return DeadLetter(
        subscription=text, message_id=text, reason=text, data="", attributes={text: text}, recorded_at=NOW
    )


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_dead_letter_may_say_whatever_it_likes(kind: str) -> None:
    """A tag that closes nothing ended the list in a traceback, until somebody had removed the record."""
    hostile = HOSTILE[kind]
    told = letter(hostile).model_dump(mode="json")
    text = shown(
        dead_letters_table(grouped([letter(hostile)])), fields_table(hostile, told), hostile, Text(hostile)
    )
    assert all(char.isprintable() or char in "\n\ufffd" for char in text), ascii(text)
    assert not set("\x1b\x9b\u202e\u2066\u200f\u2028") & set(text)
    if kind == "markup":
        assert text.count("[/bold]") == 11, text
        assert ":boom:" in text


def test_what_is_looked_at_for_long_is_as_safe() -> None:
    """A live picture is drawn another way than a print."""
    terminal, out = Terminal(width=80), StringIO()
    terminal.file = out
    table = Table("a", title=HOSTILE["title"])
    table.add_row(HOSTILE["colour"])
    with Live(table, console=terminal, auto_refresh=False):
        pass
    assert "owned" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_letters_of_all_languages_are_shown_as_they_are() -> None:
    """Only what is obeyed is replaced: names of albums are not to suffer."""
    for name in ("Sigur Rós", "Хаски", "بيت", "日本語", "👩‍🎤", "a\tb\nc"):
        assert plain(name) == name


def test_half_a_character_can_be_printed() -> None:
    """JSON can say it, and the data of a dead letter may; no encoding has it."""
    assert shown(Text("a\ud800b")).encode() == "a\ufffdb\n".encode()


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("form", [Form.JSON, Form.YAML])
def test_data_is_as_safe_and_stays_what_it_is(kind: str, form: Form, capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks for YAML looks at it in the same terminal; a script reads the very text."""
    say({"reason": HOSTILE[kind], "name": "Ærø"}, form)
    told = capsys.readouterr().out
    assert plain(told) == told
    assert yaml.safe_load(told) == {"reason": HOSTILE[kind], "name": "Ærø"}
