"""BuildRequires as text, understood before a solver sees them: plain (`foo >= 1:2-3`), file, or rich (`(a if b)`).

Solvers recurse into rich dependencies and expand them into clauses, so that a few hundred characters can exhaust the
stack or the memory. What would is found out here, from the structure alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_DEPTH = 40
MAX_OPERANDS = 1000
MAX_CLAUSES = 100_000
MAX_LENGTH = 65_536
COMPARISONS = ("<", "<=", "=", "==", ">=", ">")
OPERATORS = ("and", "or", "if", "unless", "with", "without")


class MalformedError(ValueError):
    """The text is not a dependency; the message says why."""


class TooComplexError(MalformedError):
    """The text is a dependency that no solver can be trusted with."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A capability or a file, perhaps with a version."""

    name: str
    comparison: str = ""
    evr: str = ""

    @property
    def text(self) -> str:
        return f"{self.name} {self.comparison} {self.evr}" if self.comparison else self.name


@dataclass(frozen=True, slots=True)
class Rich:
    """A boolean dependency: `operands` joined by `operator`; `if` and `unless` have two, or three with an else."""

    operator: str
    operands: tuple[Rich | Plain, ...]


Requirement = Plain | Rich


def parse(text: str) -> Requirement:
    """What `text` means; MalformedError when it means nothing."""
    if len(text) > MAX_LENGTH:
        raise TooComplexError(f"it has {len(text)} characters, more than {MAX_LENGTH}")
    if any(ord(char) < 32 for char in text):
        raise MalformedError("it contains control characters")
    text = text.strip()
    if text.startswith("("):
        return RichParser(text).parse()
    words = text.split()
    if len(words) == 1:
        return Plain(words[0])
    if len(words) == 3 and words[1] in COMPARISONS:
        return Plain(words[0], "=" if words[1] == "==" else words[1], words[2])
    if not words:
        raise MalformedError("it is empty")
    raise MalformedError("it is neither a name, nor a name, a comparison and a version, nor a rich dependency")


def leaves(requirement: Requirement) -> Iterator[Plain]:
    """All plain dependencies in it."""
    if isinstance(requirement, Plain):
        yield requirement
    else:
        for operand in requirement.operands:
            yield from leaves(operand)


def wanted(requirement: Requirement) -> Iterator[Plain]:
    """The plain dependencies that may get a package installed: conditions and what `without` excludes are left out."""
    if isinstance(requirement, Plain):
        yield requirement
        return
    operands = requirement.operands
    if requirement.operator in ("if", "unless"):
        operands = operands[:1] + operands[2:]
    elif requirement.operator == "without":
        operands = operands[:1]
    for operand in operands:
        yield from wanted(operand)


def clauses(requirement: Requirement, providers: Callable[[Plain], int] = lambda leaf: 1) -> tuple[int, int]:
    """How many clauses the conjunctive and the disjunctive normal form have, given how many packages provide a leaf.

    libsolv makes the first for Requires and the second for Conflicts; a condition swaps them.
    """
    if isinstance(requirement, Plain):
        return 1, max(1, providers(requirement))
    if requirement.operator in ("with", "without"):
        return 1, max(1, *(providers(leaf) for leaf in leaves(requirement)))
    sizes = [clauses(operand, providers) for operand in requirement.operands]
    if requirement.operator == "or":
        return disjunction(*sizes)
    if requirement.operator == "and":
        return conjunction(*sizes)
    negated = sizes[1][::-1]
    if requirement.operator == "if":
        first = disjunction(sizes[0], negated)
        return first if len(sizes) == 2 else conjunction(first, disjunction(sizes[2], sizes[1]))
    first = conjunction(sizes[0], negated)
    return first if len(sizes) == 2 else disjunction(first, conjunction(sizes[2], sizes[1]))


def disjunction(*sizes: tuple[int, int]) -> tuple[int, int]:
    conjunctive, disjunctive = 1, 0
    for size in sizes:
        conjunctive *= size[0]
        disjunctive += size[1]
    return conjunctive, disjunctive


def conjunction(*sizes: tuple[int, int]) -> tuple[int, int]:
    return disjunction(*(size[::-1] for size in sizes))[::-1]


class RichParser:
    """Recursive descent over `(A op B op B)`; RPM does not mix operators in one pair of parentheses."""

    # A word ends at a space or at the parenthesis that closes what is around it; `perl(Foo)` is one word.
    SPACES = re.compile(" *")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.operands = 0

    def parse(self) -> Requirement:
        requirement = self.group(1)
        if self.at != len(self.text):
            raise MalformedError(f"{self.text[self.at :]!r} follows the closing parenthesis")
        if clauses(requirement)[0] > MAX_CLAUSES:
            raise TooComplexError("it stands for too many combinations")
        return requirement

    def group(self, depth: int) -> Requirement:
        if depth > MAX_DEPTH:
            raise TooComplexError(f"it is nested more than {MAX_DEPTH} levels deep")
        self.at += 1
        operands = [self.operand(depth)]
        operator = ""
        while not self.closes():
            word = self.word()
            if word == "else" and operator in ("if", "unless") and len(operands) == 2:
                pass
            elif word not in OPERATORS:
                raise MalformedError(f"{word!r} is not an operator")
            elif operator and (word != operator or word in ("if", "unless")):
                raise MalformedError(f"{word!r} cannot follow {operator!r} without parentheses")
            else:
                operator = word
            operands.append(self.operand(depth))
        self.at += 1
        return Rich(operator, tuple(operands)) if operator else operands[0]

    def operand(self, depth: int) -> Requirement:
        self.skip()
        self.operands += 1
        if self.operands > MAX_OPERANDS:
            raise TooComplexError(f"it has more than {MAX_OPERANDS} operands")
        if self.text[self.at : self.at + 1] == "(":
            return self.group(depth + 1)
        name = self.word()
        self.skip()
        comparison = re.compile("[<=>]*").match(self.text, self.at)
        if comparison is None or not comparison.group():
            return Plain(name)
        if comparison.group() not in COMPARISONS:
            raise MalformedError(f"{comparison.group()!r} is not a comparison")
        self.at = comparison.end()
        self.skip()
        return Plain(name, comparison.group(), self.word())

    def skip(self) -> None:
        found = self.SPACES.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def closes(self) -> bool:
        self.skip()
        if self.at >= len(self.text):
            raise MalformedError("a closing parenthesis is missing")
        return self.text[self.at] == ")"

    def word(self) -> str:
        self.skip()
        start, opened = self.at, 0
        while self.at < len(self.text) and self.text[self.at] not in " ,":
            char = self.text[self.at]
            opened += (char == "(") - (char == ")")
            if opened < 0:
                break
            self.at += 1
        if start == self.at:
            raise MalformedError(f"a name is missing at character {start + 1}")
        return self.text[start : self.at]
