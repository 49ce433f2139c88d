"""A guarded XML parser: events with positions, no document types, no entities, no deep nesting, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from graphrep.data._bytes import file_bytes
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["escape", "flush_lines", "parse_xml", "typed_value"]

_DEPTH = 64
_PIECE = 1 << 20
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def parse_xml(
    path: Path,
    kind: str,
    start: Callable[[str, dict[str, str], str], None],
    end: Callable[[str, str], None],
) -> None:
    """Calls `start` (tag, attributes, place) and `end` (tag, text inside) for every element.

    Namespaces are dropped from tags; `place` is ``", line 7"``, for messages. The first element must be called `kind`.

    Raises:
        FileFormatError: not XML, another root, a document type or entity declaration, or nesting deeper than 64.
    """
    text = file_bytes(path)
    stack: list[list[str]] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: Any) -> Any:
        raise FileFormatError(
            f"{path.name}, line {parser.CurrentLineNumber}: the file declares a document type or entities, which can "
            "be made to expand without end.",
            hint="remove the <!DOCTYPE ...> part; a graph needs none",
        )

    def opened(tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        if not stack and name != kind:
            raise FileFormatError(
                f"{path.name} begins with <{name[:40]}>, not <{kind}>.", hint=f"is this a {kind} file?"
            )
        if len(stack) == _DEPTH:
            raise FileFormatError(
                f"{path.name}, line {parser.CurrentLineNumber}: elements are nested more than {_DEPTH} deep.",
                hint="a graph file is flat",
            )
        stack.append([])
        start(name, attributes, f", line {parser.CurrentLineNumber}")

    def closed(tag: str) -> None:
        end(tag.rpartition(" ")[2], "".join(stack.pop()))

    def characters(data: str) -> None:
        if stack:
            stack[-1].append(data)

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler = characters
    try:
        for at in range(0, text.size, _PIECE):
            parser.Parse(text[at : at + _PIECE].tobytes(), False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise FileFormatError(
            f"{path.name}, line {error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}.",
            hint="the file may be cut off; copy it again",
        ) from error
    except GraphrepError:
        raise
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise FileFormatError(f"{path.name} is not readable XML: {error}.", hint="save it as UTF-8") from error


def typed_value(text: str, kind: str) -> Any:
    """The value of an attribute that is declared as `kind`; text that is no such number stays text.

    Example:
        >>> typed_value(" 7 ", "int"), typed_value("0.5", "double"), typed_value("yes", "boolean")
        (7, 0.5, 'yes')
    """
    plain = text.strip()
    if kind in ("int", "integer", "long", "short", "byte"):
        return int(plain) if _WHOLE.fullmatch(plain) else text
    if kind in ("float", "double"):
        try:
            return float(plain) if "_" not in plain else text
        except ValueError:
            return text
    if kind == "boolean":
        return _TRUTH.get(plain.lower(), text)
    return text


_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_SPECIAL = re.compile('[&<>"\n\r\t]')
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escape(text: Any) -> str:
    """Text for an XML attribute or element.

    Raises:
        GraphrepError: a character that XML cannot hold.
    """
    text = str(text)
    if _FORBIDDEN.search(text):
        raise GraphrepError(f"{text!r} holds a character that XML cannot.", hint="format='npz' or 'json'")
    return _SPECIAL.sub(lambda m: _ESCAPES[m.group()], text)


def flush_lines(out: list[str], file: IO[bytes], most: int = 4096) -> None:
    """Writes the lines that have come together, when there are more than `most`."""
    if len(out) > most:
        file.write(("\n".join(out) + "\n").encode())
        out.clear()
