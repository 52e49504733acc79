"""Questions of a form on a terminal: one of several, any of several, a line of text. Escape goes back.

Rows are wrapped to the terminal's width, so that none is cut off. What stood in a question that was left, by enter
or by escape, stands there when it is asked again. What is typed between two questions is not shown and answers none.
"""

import contextlib
import os
import select
import sys
import termios
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

BACK = object()
_POINTER, _MARK = 3, 2  # columns that questionary puts before a row: the pointer, and a circle or a dash
_FEWEST = 20  # columns that a row has at least


@dataclass(frozen=True)
class Row:
    """One row: the value it stands for, its text, its name before that, and why it cannot be chosen."""

    value: Any
    description: str
    name: str = ""
    against: str | None = None


@dataclass
class Questions:
    """The questions of one form, with what stood in each when it was last left, by key."""

    _left: dict[str, Any] = field(default_factory=dict)
    _offered: dict[str, list[Any]] = field(default_factory=dict)

    def one(self, key: str, question: str, rows: list[Row], default: Any = None) -> Any:
        """The value of one of the rows, or `BACK`."""
        import questionary

        lines = _wrapped(rows)
        choices = _choices(rows, lines)
        wanted = (self._left.get(key, default), default)
        start = (
            choice
            for value in wanted
            for choice, row in zip(choices, rows, strict=True)
            if row.value == value and not row.against
        )
        asked = questionary.select(question, choices, default=next(start, None), instruction=" ")
        answer = _answer(asked, _offset(rows, lines))
        self._left[key] = _control(asked).get_pointed_at().value.content
        if answer is BACK:
            return BACK
        _say_answer(
            question, next(row.name or row.description for row in rows if row.value == answer.content)
        )
        return answer.content

    def many(
        self, key: str, question: str, rows: list[Row], ticked: Iterable[Any], at_least_one: bool = False
    ) -> Any:
        """The values of the rows that were ticked, or `BACK`.

        :param ticked: where a row is offered for the first time.
        """
        import questionary

        offered = [row.value for row in rows if not row.against]
        before, left = self._offered.get(key, ()), self._left.get(key, ())
        marked = [value for value in offered if value in (left if value in before else ticked)]
        lines = _wrapped(rows, marks=True)
        choices = _choices(rows, lines, marked)
        validate = (lambda chosen: bool(chosen) or "tick at least one") if at_least_one else (lambda _: True)
        asked = questionary.checkbox(question, choices, validate=validate, instruction=" ")
        answer = _answer(asked, _offset(rows, lines))
        chosen = [choice.value.content for choice in _control(asked).get_selected_values()]
        self._left[key], self._offered[key] = chosen, offered
        if answer is BACK:
            return BACK
        _say_answer(question, ", ".join(row.name for row in rows if row.value in chosen) or "none")
        return chosen

    def text(self, key: str, question: str, default: str, validate: Callable[[str], bool | str]) -> Any:
        """The line, or `BACK`."""
        import questionary

        asked = questionary.text(f"{question}:", default=self._left.get(key, default), validate=validate)
        answer = _answer(asked)
        self._left[key] = asked.application.current_buffer.text
        if answer is not BACK:
            _say_answer(question, answer or "none")
        return answer


class _Value:
    """Keeps questionary from looking into an answer: None, pairs and paths are answers too."""

    def __init__(self, content: Any):
        self.content = content


def columns() -> int:
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def say(text: str, **style: Any) -> None:
    """Shows lines, wrapped between words where the terminal is narrower."""
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        wrapped = textwrap.wrap(line, columns(), subsequent_indent=f"{indent}  ", break_on_hyphens=False)
        click.secho("\n".join(wrapped), **style)


@contextlib.contextmanager
def quiet_terminal() -> Iterator[None]:
    """What is typed is not shown, but for what a question shows itself. Ctrl-C works as ever."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _say_answer(question: str, answer: str) -> None:
    say(f"? {question}  {answer}", bold=True)


def _choices(rows: list[Row], lines: list[list[str]], ticked: Iterable[Any] = ()) -> list[Any]:
    import questionary

    return [
        questionary.Choice(
            "\n".join(own),
            _Value(row.value),
            disabled=bool(row.against),  # type: ignore[arg-type]  # the reason stands in the row, wrapped
            checked=row.value in ticked,
        )
        for row, own in zip(rows, lines, strict=True)
    ]


def _wrapped(rows: list[Row], marks: bool = False) -> list[list[str]]:
    """The lines of each row. Names are a column of their own where that leaves half of the width to the rest.

    :param marks: whether a row that can be chosen has a mark before it.
    """
    width = max(columns() - _POINTER - _MARK - 1, _FEWEST)
    names = max(len(row.name) for row in rows)
    indent = names + 2 if 0 < names + 2 <= width // 2 else 2
    wrapped = []
    for row in rows:
        reason = f" ({row.against})" if row.against else ""
        text = f"{f'{row.name}  ':{indent}}{row.description}{reason}".lstrip()
        first, *rest = textwrap.wrap(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)
        before = " " * (_POINTER + (_MARK if marks or row.against else 0))
        wrapped.append([first, *(before + line for line in rest)])
    return wrapped


def _offset(rows: list[Row], lines: list[list[str]]) -> int:
    """How many lines to keep in view around the pointer: its own row, and the rows beside it that it passes over."""
    longest, passed = 0, 0
    for row, own in zip(rows, lines, strict=True):
        passed = passed + len(own) if row.against else len(own)
        longest = max(longest, passed)
    return longest - 1


def _control(asked: Any) -> Any:
    """What questionary shows the rows of a question with."""
    from questionary.prompts.common import InquirerControl

    controls = (window.content for window in asked.application.layout.find_all_windows())
    return next(control for control in controls if isinstance(control, InquirerControl))


def _answer(asked: Any, offset: int | None = None) -> Any:
    """What the user answers, `BACK` for escape; the question itself is taken off the screen."""
    from prompt_toolkit.input.typeahead import clear_typeahead
    from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
    from prompt_toolkit.keys import Keys
    from prompt_toolkit.layout.containers import ScrollOffsets

    application = asked.application
    keys = KeyBindings()
    keys.add("escape", eager=True)(lambda event: event.app.exit(result=BACK))
    application.key_bindings = merge_key_bindings([application.key_bindings, keys])
    application.erase_when_done = True
    # A terminal sends arrow keys as escape and more, at once: a short wait tells them apart.
    application.ttimeoutlen = 0.1
    if offset is not None:
        for window in application.layout.find_all_windows():
            window.scroll_offsets = ScrollOffsets(top=offset, bottom=offset)
    clear_typeahead(application.input)

    def forget_early_keys(_application: Any) -> None:
        application.after_render -= forget_early_keys
        leaving = []
        while not application.input.closed and select.select([sys.stdin], [], [], 0)[0]:
            leaving += [key for key in application.input.read_keys() if key.key is Keys.ControlC]
        application.input.vt100_parser.reset()  # half of an escape sequence or of a paste is no beginning of a key
        application.key_processor.feed_multiple(leaving[:1])
        application.key_processor.process_keys()

    application.after_render += forget_early_keys  # before it is drawn, nobody answers it, but may leave
    return asked.unsafe_ask()
