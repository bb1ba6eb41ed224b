"""The path language of mapping files: steps through XML, JSON and CSV, and the nearest name when one leads nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from racoon_data.annotations.tools.trees import Node
from racoon_data.errors import SettingsError

_STEP = re.compile(
    r"(?P<up>\.\.)|(?P<here>\.)|(?P<any>\*)|@(?P<attribute>[\w.:-]+)|'(?P<quoted>[^']+)'|(?P<name>[^/\[\]'@*]+)"
)
_FILTER = re.compile(
    r"\[(?:(?P<place>\d+)|(?P<attribute>@?)(?P<key>[\w.:-]+)\s*=\s*(?:'(?P<quoted>[^']*)'|(?P<value>[^\]']+)))\]"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a step: a 1-based place, or a child or attribute with a value."""

    place: int = 0
    key: str = ""
    value: str = ""
    is_attribute: bool = False

    def keep(self, nodes: list[Node]) -> list[Node]:
        """Keep the nodes that fit."""
        if self.place:
            return nodes[self.place - 1 : self.place]
        return [node for node in nodes if self._fits(node)]

    def _fits(self, node: Node) -> bool:
        if self.is_attribute:
            held = [node.attributes[self.key]] if self.key in node.attributes else []
        else:
            held = [child for child in node.children if child.name == self.key]
        fitting = [one for one in held if one.text == self.value]
        for one in fitting:
            one.is_read = True
        return bool(fitting)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``kind`` is up, here, any, attribute or name."""

    kind: str
    name: str = ""
    filters: tuple[Filter, ...] = ()

    def take(self, node: Node) -> list[Node]:
        """Give the nodes the step leads to."""
        nodes = self._reached(node)
        for condition in self.filters:
            nodes = condition.keep(nodes)
        return nodes

    def _reached(self, node: Node) -> list[Node]:
        if self.kind == "up":
            return [node.parent] if node.parent is not None else []
        if self.kind == "here":
            return [node]
        if self.kind == "attribute":
            return [node.attributes[self.name]] if self.name in node.attributes else []
        return [child for child in node.children if self.kind == "any" or child.name == self.name]


@dataclass(frozen=True, slots=True)
class NodePath:
    """A compiled path.

    Attributes:
        text: As written.
        steps: Its steps.
        is_absolute: It starts at the root of the document.
    """

    text: str
    steps: tuple[Step, ...]
    is_absolute: bool = False


def compile_path(text: str) -> NodePath:
    """Parse a path such as ``../Visit[@kind='follow-up']/Volume/@value``.

    Raises:
        SettingsError: It cannot be read; the message shows where.

    Example:
        >>> [step.kind for step in compile_path("../Lesion[2]/@name").steps]
        ['up', 'name', 'attribute']
    """
    is_absolute = text.startswith("/")
    position = 1 if is_absolute else 0
    steps: list[Step] = []
    while position < len(text) or not steps:
        step, position = _one_step(text, position)
        steps.append(step)
        if position < len(text) and text[position] != "/":
            raise _unreadable(text, position)
        position += 1
        if position == len(text):
            raise _unreadable(text, position)
    return NodePath(text, tuple(steps), is_absolute)


def _one_step(text: str, position: int) -> tuple[Step, int]:
    found = _STEP.match(text, position)
    if found is None or found.lastgroup is None:
        raise _unreadable(text, position)
    position = found.end()
    filters = []
    while position < len(text) and text[position] == "[":
        condition = _FILTER.match(text, position)
        if condition is None or condition["place"] == "0":
            raise _unreadable(text, position)
        value = condition["quoted"] if condition["quoted"] is not None else (condition["value"] or "").strip()
        filters.append(
            Filter(int(condition["place"] or 0), condition["key"] or "", value, condition["attribute"] == "@")
        )
        position = condition.end()
    kind = "name" if found.lastgroup == "quoted" else found.lastgroup
    name = (found["attribute"] or found["quoted"] or found["name"] or "").strip()
    return Step(kind, name, tuple(filters)), position


def _unreadable(text: str, position: int) -> SettingsError:
    steps = "steps are name, 'a name', @attribute, .., . and *, joined by /"
    hint = f"{steps}; conditions are [2], [child=value], [@attribute=value]"
    return SettingsError(f"the path {text!r} cannot be read at character {position + 1}", hint=hint)


def root_of(node: Node) -> Node:
    """Give the top of the tree a node stands in."""
    while node.parent is not None:
        node = node.parent
    return node


def select(node: Node, path: NodePath) -> list[Node]:
    """Follow a path from a node; every node it ends at counts as read."""
    nodes = [root_of(node) if path.is_absolute else node]
    for step in path.steps:
        nodes = [reached for one in nodes for reached in step.take(one)]
    for one in nodes:
        one.is_read = True
    return nodes


def nearest(node: Node, path: NodePath) -> tuple[str, tuple[str, ...], str]:
    """Say where a path that leads nowhere breaks off.

    Returns:
        The name it looked for, the names that stand there instead (at most eight, safe to show), and the one that
        resembles it most, empty where none does.
    """
    nodes = [root_of(node) if path.is_absolute else node]
    for step in path.steps:
        reached = [one for here in nodes for one in step.take(here)]
        if not reached:
            return _beside(nodes, step)
        nodes = reached
    return "", (), ""


def _beside(nodes: list[Node], step: Step) -> tuple[str, tuple[str, ...], str]:
    if step.kind == "attribute":
        names = dict.fromkeys(name for node in nodes for name in node.attributes)
    else:
        names = dict.fromkeys(child.name for node in nodes for child in node.children)
    shown = tuple(name for name in names if is_showable(name))
    by_folded = {name.casefold(): name for name in shown}
    close = get_close_matches(step.name.casefold(), by_folded, n=1, cutoff=0.6)
    return step.name or step.kind, shown[:8], by_folded[close[0]] if close else ""


def is_showable(name: str) -> bool:
    """Tell whether a name looks like a field's and not like data: a JSON key may be a patient's name or number."""
    return re.fullmatch(r"[^\W\d][\w .:()\[\]%/³²-]{0,39}", name) is not None and sum(map(str.isdigit, name)) < 4
