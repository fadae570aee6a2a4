"""What a project says beyond names, composed into its manifests, and where each value comes from.

Layers of one manifest, later ones win: the project's defaults, the manifest, the target's preset,
the target's overrides in the order written. They are merged as trees, as in JSON Merge Patch
(RFC 7396): mappings merge, anything else replaces, null removes the key. A trigger is one of its
kinds or another: of a layer, what stands under the kind at hand is merged, another kind replaces
the whole trigger, and defaults never bring one. Then variables are replaced: alone a reference is
the typed value, inside a text it is written into the text. No value is read as YAML again, and
none is expanded again.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.data import Datastore
from reconciler.errors import Problem
from reconciler.fields import Scalar
from reconciler.manifest.build import find
from reconciler.manifest.emit import scalar_text
from reconciler.manifest.project import FILE, Overrides, Preset, Project, undeclared
from reconciler.manifest.scalars import fault, is_null, nearest
from reconciler.manifest.shape import OneOf, record_of
from reconciler.manifest.syntax import one_line, shown
from reconciler.manifest.yaml12 import VARIABLE, Node, place_in
from reconciler.pipeline import Pipeline
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.manifest.scalars import Faults
    from reconciler.manifest.yaml12 import Entries

_KINDS: Mapping[str, Any] = {cls.KIND: cls for cls in (Schedule, Pipeline, Datastore)}
_TRIGGER = "trigger"
_TAGS = tuple(
    tag
    for member in record_of(Schedule).members
    if isinstance(member.shape, OneOf)
    for tag in member.shape.records
)
_NAME = re.compile(r"\.([a-zA-Z_][a-zA-Z0-9_]*)")
_REFERENCE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_OWN = ""
# Looking for a near name among very many is slow.
_SUGGESTIONS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One tree that values come from.

    ``how`` says what it is, empty for the manifest itself; ``tags`` are the kinds of trigger that
    an override speaks of.
    """

    how: str
    tree: Node
    tags: Sequence[str] = ()


class Replaced(Node):
    """A scalar in which variables were replaced; ``by`` is the scalar as written.

    A variable that is ``alone`` stands where the project file gives its value. ``how`` names it.
    """

    __slots__ = ("alone", "by", "how")

    def __init__(self, value: str, place: Node, style: str, by: Node, how: str) -> None:
        super().__init__(value, place.line, place.column, style)
        self.alone = place is not by
        self.by = by
        self.how = how


@dataclass(frozen=True, slots=True)
class _Value:
    """What a variable is in this target; ``value`` is None where nothing gives one.

    ``reference`` is how most people refer to it.
    """

    value: Scalar | None
    place: Node
    how: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class _Override:
    """What one key under a target's overrides says; ``order`` counts them as written."""

    order: int
    layer: Layer
    matches: re.Pattern[str] | None


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """What one target of a project adds to its manifests.

    ``defaults`` is by kind and by the manifest's own tag of trigger, empty for none; ``overrides``
    is by kind and by what is written, a name or a glob. ``problems`` are those of the project file.
    """

    target: str
    defaults: Mapping[str, Mapping[str, Layer]]
    preset: Mapping[str, Layer]
    overrides: Mapping[str, Mapping[str, _Override]]
    globs: Mapping[str, Sequence[_Override]]
    variables: Mapping[str, _Value]
    declared: Project
    problems: tuple[Problem, ...]

    def apply(
        self, kind: str, root: Node, faults: Faults, *, references: bool
    ) -> tuple[Node, tuple[Layer, ...]]:
        """Give the effective tree of one document, and the layers it has; none where it is alone.

        ``root`` is a mapping; ``references`` says whether it may refer to variables. Faults stand
        where the reference does.
        """
        layers = self._layers(kind, root)
        tree = merged(layers) if layers else root
        if references:
            tree = self.expand(tree, faults)
            layers = layers if layers or tree is root else (Layer(_OWN, root),)
        return tree, layers

    def _layers(self, kind: str, root: Node) -> tuple[Layer, ...]:
        above = []
        default = self.defaults.get(kind)
        if default:
            tags = _tags(root)
            above.append(default[tags[0] if len(tags) == 1 else ""])
        below = [self.preset[kind]] if kind in self.preset else []
        if self.overrides[kind]:
            below += self._matching(kind, root)
        return (*above, Layer(_OWN, root), *below) if above or below else ()

    def _matching(self, kind: str, root: Node) -> list[Layer]:
        entries: Any = root.value
        name = self.expand(entries["name"][2], []).value if "name" in entries else None
        if not isinstance(name, str):
            return []
        found = [one for one in self.globs[kind] if one.matches and one.matches.match(name)]
        exact = self.overrides[kind].get(name)
        found += [exact] if exact and exact.matches is None else []
        return [one.layer for one in sorted(found, key=lambda one: one.order)]

    def unmatched(self, names: Mapping[str, Iterable[str]]) -> Iterator[Problem]:
        """Find overrides of no object; ``names`` are those declared, by kind."""
        told = 0
        for kind, overrides in self.overrides.items():
            known = set(names[kind])
            for written, one in overrides.items():
                if one.matches is None:
                    if written in known:
                        continue
                elif any(map(one.matches.match, known)):
                    continue
                told += 1
                close = nearest(written, known) if told <= _SUGGESTIONS else None
                way_out = f"did you mean '{close}'?" if close else "correct or remove it"
                text = f"no {kind} {shown(written)} is declared for target {self.target}; {way_out}"
                path = ("targets", self.target, "overrides", kind)
                entries: Any = find(self.declared.root, path).value
                line, column, _ = entries[written]
                yield Problem(*place_in(FILE, line, column), one_line(text))

    def expand(self, node: Node, faults: Faults) -> Node:
        """Replace the variables in a tree; what holds none stays the very same node."""
        value = node.value
        if isinstance(value, str):
            return self._scalar(node, value, faults) if "${{" in value else node
        if isinstance(value, list):
            items = [self.expand(child, faults) for child in value]
            same = all(map(operator.is_, items, value))
            return node if same else Node(items, node.line, node.column)
        changed: Entries = {}
        for key, (line, column, child) in value.items():
            if "${{" in key and VARIABLE.search(key):
                faults.append((line, column, "a variable cannot stand in a key; write the key"))
            text = child.value
            if type(text) is not str or "${{" in text:
                one = self.expand(child, faults)
                if one is not child:
                    changed[key] = (line, column, one)
        return Node({**value, **changed}, node.line, node.column) if changed else node

    def _scalar(self, node: Node, text: str, faults: Faults) -> Node:
        usual = self.variables.get(text[14:-3])
        if usual and usual.value is not None and text == usual.reference:
            return _alone(usual, node)
        before = len(faults)
        found = [(m, self._value(m, node, faults)) for m in VARIABLE.finditer(text)]
        if not found or len(faults) > before:
            return node
        (match, first), *_ = found
        if match.span() == (0, len(text)):
            return _alone(first, node)
        literals, result, end = [], "", 0
        for match, one in found:
            literals.append(text[end : match.start()])
            result += literals[-1] + _written(one)
            end = match.end()
        literals.append(text[end:])
        result += literals[-1]
        if _REFERENCE.findall(result) != [
            ref for text in literals for ref in _REFERENCE.findall(text)
        ]:
            fault(faults, node, "variables cannot make up another reference; write it out")
        how = "with " + ", ".join(dict.fromkeys(one.how for _, one in found))
        return Replaced(result, node, '"', node, how)

    def _value(self, match: re.Match[str], node: Node, faults: Faults) -> _Value:
        word, rest = match[1], match[2]
        name = _NAME.fullmatch(rest)
        value = self.variables.get(name[1]) if name else None
        if word != "variables" or name is None:
            text = f"{shown(match[0])} is not known here; write ${{{{ variables.NAME }}}}"
        elif value is None:
            text = f"variable {undeclared(name[1], self.declared.variables)}"
        elif value.value is None:
            where = f"targets.{self.target}.variables"
            text = f"variable {shown(name[1])} has no value for target {self.target}"
            text += f"; write one under {where}, or a default"
        else:
            return value
        fault(faults, node, text)
        return _Value("", node, "")


def _alone(value: _Value, node: Node) -> Replaced:
    style = '"' if isinstance(value.value, str) else ""
    return Replaced(_written(value), value.place, style, node, value.how)


def _written(value: _Value) -> str:
    return value.value if isinstance(value.value, str) else scalar_text(value.value)


def compose(project: Project, target: str) -> Composition:
    """Prepare what ``target`` adds to each manifest.

    Raises:
        KeyError: there is no such target.
    """
    chosen = project.targets[target]
    own = _Composer(project, target)
    defaults = {}
    for kind in _KINDS:
        fragment = getattr(project.defaults, kind)
        if fragment is not None:
            tree, how = _merge(None, own.tree(fragment.node)), "project default"
            defaults[kind] = {tag: Layer(how, _only(tree, tag)) for tag in ("", *_TAGS)}
    overrides = {kind: own.overrides(chosen.overrides, kind) for kind in _KINDS}
    preset = {}
    if chosen.preset is Preset.PAUSED:
        place = find(project.root, ("targets", target, "preset"))
        status = Node(Status.DISABLED.value, place.line, place.column, '"')
        tree = Node({"status": (place.line, place.column, status)}, place.line, place.column)
        preset[Schedule.KIND] = Layer(f"preset {chosen.preset} of target {target}", tree)
    return Composition(
        target=target,
        defaults=defaults,
        preset=preset,
        overrides=overrides,
        globs={kind: [one for one in of.values() if one.matches] for kind, of in overrides.items()},
        variables=own.variables,
        declared=project,
        problems=tuple(
            sorted({Problem(*place_in(FILE, at, column), said) for at, column, said in own.faults})
        ),
    )


class _Composer:
    """Makes the layers of one target, and collects what is wrong with them."""

    def __init__(self, project: Project, target: str) -> None:
        self.target = target
        self.faults: Faults = []
        self.variables: dict[str, _Value] = {}
        given = project.targets[target].variables
        for name, variable in project.variables.items():
            path: tuple[str, ...] = ("variables", name, "default")
            how, value = f"variable {name}", variable.default
            if name in given:
                path = ("targets", target, "variables", name)
                how, value = f"{how} of target {target}", given[name]
            reference = f"${{{{ variables.{name} }}}}"
            self.variables[name] = _Value(value, find(project.root, path), how, reference)
        self._expanding = Composition(target, {}, {}, {}, {}, self.variables, project, ())

    def tree(self, node: Node) -> Node:
        return self._expanding.expand(node, self.faults)

    def overrides(self, written: Overrides, kind: str) -> dict[str, _Override]:
        how = f"override of target {self.target}"
        found = {}
        for order, (name, fragment) in enumerate(getattr(written, kind).items()):
            glob = "*" in name or "?" in name
            tree = self.tree(fragment.node)
            layer = Layer(how, tree, _tags(tree))
            found[name] = _Override(order, layer, _pattern(name) if glob else None)
        return found


def _pattern(glob: str) -> re.Pattern[str]:
    # Unlike one of ".*", its expression never goes back: many stars cost no more than a few.
    return re.compile(fnmatch.translate(glob))


def _only(tree: Node, tag: str) -> Node:
    """Leave of the trigger what stands under ``tag``, and no trigger where there is nothing."""
    entries: Any = tree.value
    if _TRIGGER not in entries:
        return tree
    line, column, trigger = entries[_TRIGGER]
    kept = {key: entry for key, entry in entries.items() if key != _TRIGGER}
    if tag in trigger.value:
        kind = Node({tag: trigger.value[tag]}, trigger.line, trigger.column)
        kept[_TRIGGER] = (line, column, kind)
    return Node(kept, tree.line, tree.column)


def merged(layers: Sequence[Layer]) -> Node:
    """Merge the layers of one document; the first has no nulls that remove anything."""
    tree = layers[0].tree
    for layer in layers[1:]:
        if layer.how == _OWN:
            tree = _fill_in(layer.tree, tree)
            continue
        over = layer.tree
        if layer.tags:
            shared = [tag for tag in layer.tags if tag in _tags(tree)]
            over = _only(over, shared[0]) if shared else over
            tree = tree if shared else _only(tree, "")
        tree = _merge(tree, over)
    return tree


def _tags(tree: Node) -> list[str]:
    trigger = find(tree, (_TRIGGER,)).value
    return [tag for tag in _TAGS if tag in trigger] if isinstance(trigger, dict) else []


def _merge(base: Node | None, over: Node) -> Node:
    """Merge a mapping of an override into what stands there."""
    mapping = base if base and isinstance(base.value, dict) else None
    below: Any = mapping.value if mapping else {}
    entries: Entries = dict(below)
    above: Any = over.value
    for key, entry in above.items():
        line, column, child = entry
        had = entries.get(key)
        if isinstance(child.value, dict):
            node = _merge(had[2] if had else None, child)
            stays = had and isinstance(had[2].value, dict)
            entries[key] = (had[0], had[1], node) if had and stays else (line, column, node)
        elif not is_null(child):
            entries[key] = entry
        elif had:
            del entries[key]
    place = mapping or over
    return Node(entries, place.line, place.column)


def _fill_in(own: Node, default: Node) -> Node:
    """Merge a manifest into the defaults; the places are those of the manifest.

    A null of the manifest that removes nothing stays, for the builder to judge.
    """
    entries: Any = dict(own.value)  # type: ignore[arg-type]  # a mapping
    below: Any = default.value
    for key, entry in below.items():
        had = entries.get(key)
        if had is None:
            entries[key] = entry
        elif isinstance(had[2].value, dict) and isinstance(entry[2].value, dict):
            entries[key] = (had[0], had[1], _fill_in(had[2], entry[2]))
        elif is_null(had[2]):
            del entries[key]
    return Node(entries, own.line, own.column)
