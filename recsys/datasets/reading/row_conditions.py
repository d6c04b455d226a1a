"""The language of row filters: a small part of SQL's conditions, read and never run as code.

condition    one, or several with and, or, not and parentheses
one          COLUMN = VALUE, with != < <= > >= in place of =
             COLUMN in (VALUE, VALUE), COLUMN not in (...), COLUMN is null, COLUMN is not null
COLUMN       a name as the file has it, in double quotes where it is more than a word
VALUE        a number, true, false, or text in single quotes; times are text in ISO 8601
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

OPERATORS = ("=", "==", "!=", "<>", "<", "<=", ">", ">=")
"""Comparisons; two of them have two spellings."""
Value = bool | Decimal | str
"""What a column is compared with."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"[^"]+"|[^\W\d][\w.]*)
    |(?P<mark><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE,
)
_WORDS = frozenset(["and", "or", "not", "in", "is", "null", "true", "false"])
_MAX_DEPTH = 50


@dataclass(frozen=True)
class One:
    """A condition on one column; `op` is one of `OPERATORS`, `in` or `null`."""

    column: str
    op: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Several:
    """Conditions together: `and`, `or`, or `not` of one."""

    word: str
    parts: tuple[Condition, ...]


Condition = One | Several


def read_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ValueError: It is not a condition; the message says where.
    """
    return _Reader(text).read()


class _Reader:
    """Reads a condition from the left."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def read(self) -> Condition:
        condition = self._several("or")
        if self._peek():
            raise self._fault("and, or, or the end")
        return condition

    def _several(self, word: str) -> Condition:
        part: Callable[[], Condition] = (
            (lambda: self._several("and")) if word == "or" else self._single
        )
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Several(word, tuple(parts))

    def _single(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fault(f"at most {_MAX_DEPTH} conditions and parentheses")
        if self._take("not"):
            return Several("not", (self._single(),))
        if self._take("("):
            condition = self._several("or")
            self._expect(")")
            return condition
        return self._one()

    def _one(self) -> Condition:
        kind, word = self._next()
        if kind != "name" or word.lower() in _WORDS:
            raise self._fault("the name of a column")
        column = word.strip('"')
        if self._take("is"):
            is_not = self._take("not")
            self._expect("null")
            return _negated(One(column, "null"), negate=is_not)
        is_not = self._take("not")
        if is_not or self._peek().lower() == "in":
            self._expect("in")
            self._expect("(")
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            self._expect(")")
            return _negated(One(column, "in", tuple(values)), negate=is_not)
        _, op = self._next()
        if op not in OPERATORS:
            raise self._fault("one of = != < <= > >= in is")
        return One(column, op, (self._value(),))

    def _value(self) -> Value:
        kind, word = self._next()
        if kind == "number":
            return Decimal(word)
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if word.lower() in ("true", "false"):
            return word.lower() == "true"
        raise self._fault("a number, text in single quotes, true or false")

    def _peek(self) -> str:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            return self._text[self._at :].strip()
        return found[found.lastgroup or 0]

    def _next(self) -> tuple[str, str]:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            return "", ""
        self._at = found.end()
        return found.lastgroup or "", found[found.lastgroup or 0]

    def _take(self, word: str) -> bool:
        if self._peek().lower() != word:
            return False
        self._next()
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._fault(repr(word))

    def _fault(self, expected: str) -> ValueError:
        return ValueError(
            f"expected {expected} near character {self._at + 1} of the row filter "
            f"{self._text!r}, got something else; an example is quantity > 0 and country = 'FR'"
        )


def _negated(condition: Condition, *, negate: bool) -> Condition:
    return Several("not", (condition,)) if negate else condition
