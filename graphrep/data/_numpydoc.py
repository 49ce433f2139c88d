"""The two parts of a numpydoc docstring that make a graph: the summary and the names under "See Also"."""

from __future__ import annotations

import inspect
import re

__all__ = ["see_also", "summary"]

_RULE = re.compile(r"^[-=~]{3,}\s*$")
_NAME = re.compile(r"(?::[\w:]+:)?`?~?\.?([A-Za-z_][\w.]*)`?_?(?:\(\))?")
_MARKED = re.compile(r"(?::[\w:]+:)?`[^`<]*?<?~?\.?([A-Za-z_][\w.]*)(?:\(\))?>?`")


def summary(doc: str, name: str) -> str:
    r"""The first paragraph on one line, without the call signature that compiled functions put before it.

    Args:
        doc: the docstring.
        name: of the object, without its module.

    Example:
        >>> summary("add(x1, x2, /, out=None)\n\nAdd arguments\nelement-wise.\n\nParameters", "add")
        'Add arguments element-wise.'
    """
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        while lines and re.match(rf"(\w+\s*=\s*)?([\w.]*\.)?{re.escape(name)}\(", lines[0]):
            lines = lines[1:] if lines[0].endswith(")") or "->" in lines[0] else []
        if lines and not lines[0].startswith(".. "):
            return " ".join(lines)
    return ""


def see_also(doc: str) -> list[str]:
    r"""The names that the "See Also" section refers to, in order, as they are written there.

    Understood are ``name``, ``name : text``, ``a, b : text``, roles like ``:func:`name``` and list items; lines that
    are further to the right describe the entry above them. In a sentence only names in backquotes count.

    Example:
        >>> see_also("Sum.\n\nSee Also\n--------\nmean, std : Moments.\n    And more.\n:func:`~np.ma.sum`\n")
        ['mean', 'std', 'np.ma.sum']
    """
    found: list[str] = []
    for line in _section(inspect.cleandoc(doc).splitlines()):
        if line[:1].isspace() or not line:
            continue
        entry = re.sub(r"^[*-]\s+", "", line)
        names = re.split(r"\s*:\s+|\s+:\s*$|:$", entry, maxsplit=1)[0].strip().rstrip(",.")
        pieces = [_NAME.fullmatch(piece.strip()) for piece in names.split(",")]
        if all(pieces):
            found += [piece.group(1) for piece in pieces if piece]
        else:
            found += _MARKED.findall(entry)
    return [name.rstrip(".") for name in dict.fromkeys(found)]


def _section(lines: list[str]) -> list[str]:
    """The lines between the heading "See Also" and the next heading."""
    for at in range(len(lines) - 1):
        if lines[at].strip().lower() == "see also" and _RULE.match(lines[at + 1].strip()):
            body = lines[at + 2 :]
            for end in range(len(body)):
                if end and _RULE.match(body[end].strip()) and body[end - 1].strip():
                    return body[: end - 1]
                if body[end].startswith(".. "):
                    return body[:end]
            return body
    return []
