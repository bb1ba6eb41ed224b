"""XML, JSON and CSV of strangers to one kind of tree, within bounds and without entities or DTDs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from racoon_data.errors import BrokenExportError, HostileExportError

MAX_BYTES = 64 << 20
MAX_DEPTH = 64
MAX_NODES = 2_000_000
_HEAD = 4096
_ROW = "row"
_ITEM = "item"
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[\[\]{}]")
_DELIMITERS = ";,\t|"


@dataclass(slots=True, eq=False)
class Node:
    """One element of XML, one value of JSON, one cell or row of CSV.

    Attributes:
        name: Element name without its namespace, object key, column; a member of a list has the list's name.
        text: Text or scalar as written, stripped; empty where there is none.
        parent: What it stands in.
        children: What stands in it.
        attributes: XML attributes.
        row: 1-based line of a CSV row, 0 elsewhere.
        is_read: True once a rule looked at it.
    """

    name: str
    text: str = ""
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    attributes: dict[str, Node] = field(default_factory=dict)
    row: int = 0
    is_read: bool = False

    def add(self, name: str, text: str = "") -> Node:
        """Put a new node below this one."""
        child = Node(name, text, self)
        self.children.append(child)
        return child

    def leaves(self) -> Iterator[Node]:
        """Go through every node that holds a value, attributes included."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield from (one for one in node.attributes.values() if one.text)
            if node.text:
                yield node
            waiting += reversed(node.children)


def head_of(path: Path) -> bytes:
    """Read the first bytes of a file, none where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD)
    except OSError:
        return b""


def read_bytes(path: Path) -> bytes:
    """Read a file of bounded size.

    Raises:
        HostileExportError: It is larger than 64 MiB.
        BrokenExportError: It cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise HostileExportError(
                f"the file is larger than {MAX_BYTES >> 20} MiB", hint="export fewer patients a file"
            )
        return path.read_bytes()
    except OSError as error:
        raise BrokenExportError(
            f"the file cannot be read: {error.strerror}", hint="name a file you may read"
        ) from error


def decoded(data: bytes, encoding: str) -> str:
    """Decode text, a byte order mark put aside.

    Raises:
        BrokenExportError: The text is not in this encoding.
    """
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        hint = "name its encoding in the mapping file, such as encoding = 'cp1252'"
        raise BrokenExportError(f"the file is not {encoding} text", hint=hint) from error


class _Builder:
    """Builds the tree while expat walks through the document."""

    def __init__(self) -> None:
        self.root = Node("")
        self._here = self.root
        self._depth = 0
        self._count = 0
        self._texts: list[list[str]] = [[]]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1 + len(attributes)
        _require_bounds(self._depth, self._count)
        self._here = self._here.add(_local(name))
        own = {_local(key): value.strip() for key, value in attributes.items() if not key.startswith("xmlns")}
        self._here.attributes = {key: Node(key, value, self._here) for key, value in own.items()}
        self._texts.append([])

    def end(self, name: str) -> None:
        self._here.text = "".join(self._texts.pop()).strip()
        self._depth -= 1
        if self._here.parent is not None:
            self._here = self._here.parent

    def text(self, data: str) -> None:
        self._texts[-1].append(data)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _require_bounds(depth: int, count: int) -> None:
    if depth > MAX_DEPTH or count > MAX_NODES:
        what = f"deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"more than {MAX_NODES} values"
        raise HostileExportError(f"the file has {what}", hint="it is no report; export it again")


def _refuse_dtd(*_: object) -> int:
    raise HostileExportError(
        "the XML declares a document type or entities, which may open files or grow without end",
        hint="export it without a DTD",
    )


def parse_xml(data: bytes) -> Node:
    """Parse XML; namespaces are taken off, a document type or an entity is refused.

    Raises:
        HostileExportError: It declares a DTD or entities, or is too deep or too large.
        BrokenExportError: It is not well-formed.
    """
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.EntityDeclHandler = _refuse_dtd
    parser.ExternalEntityRefHandler = _refuse_dtd
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        line = getattr(error, "lineno", 0)
        raise BrokenExportError(f"the XML is broken at line {line}", hint="export it again") from error
    return builder.root


def load_json(data: bytes) -> Any:
    """Parse JSON of a stranger: numbers stay as written, objects become lists of pairs.

    Raises:
        HostileExportError: It is too deep or too large.
        BrokenExportError: It is no JSON.
    """
    bare = _TEXTS.sub(b"", data)
    depth = deepest = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    _require_bounds(deepest, bare.count(b",") + bare.count(b":"))
    try:
        return json.loads(
            decoded(data, "utf-8"),
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_Pairs,
        )
    except json.JSONDecodeError as error:
        raise BrokenExportError(f"the JSON is broken at line {error.lineno}", hint="export it again") from error


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys in order, repeated ones included."""


def _refuse_constant(name: str) -> None:
    raise BrokenExportError(f"the JSON holds {name}, which is no number", hint="export it again")


def parse_json(data: bytes) -> Node:
    """Parse JSON into a tree; a list gives one child per member, all under the list's name.

    Raises:
        HostileExportError: It is too deep or too large.
        BrokenExportError: It is no JSON.
    """
    root = Node("")
    _graft(root, _ITEM, load_json(data))
    first = root.children[0] if len(root.children) == 1 else None
    if first is not None and not first.text:
        first.name, first.parent = "", None
        return first
    return root


def _graft(parent: Node, name: str, value: Any) -> None:
    if isinstance(value, _Pairs):
        node = parent.add(name)
        for key, inner in value:
            _graft(node, key, inner)
    elif isinstance(value, list):
        for member in value:
            _graft(parent, name, member)
    elif value is not None:
        parent.add(name, str(value).lower() if isinstance(value, bool) else str(value).strip())


def parse_csv(data: bytes, *, encoding: str = "utf-8", delimiter: str = "") -> tuple[Node, tuple[int, ...]]:
    """Parse a table with a header line into ``row`` nodes with one child per column.

    Args:
        data: The file.
        encoding: Python name of its encoding.
        delimiter: What separates columns; empty chooses the one of ``; , tab |`` the header has most of.

    Returns:
        The tree, and the line numbers of rows with another number of cells than the header.

    Raises:
        HostileExportError: It has too many cells.
        BrokenExportError: It has no header, or is no text.
    """
    text = decoded(data, encoding)
    if "\0" in text:
        raise BrokenExportError("the file is no text", hint="export it as CSV")
    head = text.split("\n", 1)[0]
    chosen = delimiter or max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen)
    root, uneven = Node(""), []
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise BrokenExportError("the table has no header line", hint="export it with column names")
        for cells in reader:
            if len(cells) == len(header):
                _add_row(root, header, cells, reader.line_num)
            elif any(cell.strip() for cell in cells):
                uneven.append(reader.line_num)
    except csv.Error as error:
        raise BrokenExportError(f"the table is broken at line {reader.line_num}", hint="export it again") from error
    return root, tuple(uneven)


def _add_row(root: Node, header: list[str], cells: list[str], line: int) -> None:
    _require_bounds(0, len(root.children) * len(header))
    if not any(cell.strip() for cell in cells):
        return
    row = root.add(_ROW)
    row.row = line
    for name, cell in zip(header, cells, strict=True):
        row.add(name, cell.strip())
