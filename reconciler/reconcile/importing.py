"""From live objects to manifests that declare them, claimed in the same step.

First everything is worked out: the texts, and the plan that an apply of them would be, which may do
nothing but adopt. Then the files are written, each whole, and that plan is applied in one
transaction. A crash between the two leaves files without a claim: they declare what is live, the
next plan says so, and a second import finds its own files and goes on. There is no crash that
leaves a claim without its file, which a later apply would take for a removed manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import ManifestError, ReconcilerError, Refused, StalePlan
from reconciler.manifest.compose import compose
from reconciler.manifest.emit import to_data
from reconciler.manifest.load import load
from reconciler.plan.change import KINDS, Action, Kind, Plan
from reconciler.plan.codec import approval_digest
from reconciler.plan.render import shown
from reconciler.reconcile import disk
from reconciler.reconcile.apply import How, apply_plan, refuse
from reconciler.reconcile.drafts import Drafts, Skipped
from reconciler.reconcile.overlay import Overlay
from reconciler.reconcile.read import Reading, plan, read, read_project
from reconciler.reconcile.write_back import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.manifest.load import Declared, Loaded
    from reconciler.manifest.project import Project
    from reconciler.plan.change import Change
    from reconciler.plan.desired import Desired
    from reconciler.reconcile.drafts import Draft, Wanted
    from reconciler.source.base import Source
    from reconciler.workspace.base import Registry, RegistryReader

# What an adoption changes by itself, and what says the same in other words: where the binding
# stays, another way to write the pipeline changes nothing.
_HARMLESS = frozenset({"owner", "protected", "pipeline"})
_BOUND = "pipeline version"
# Each round leaves something out or writes it otherwise; more say that it never comes to rest.
_ROUNDS = 20
# So many names stand in a message.
_SOME = 5


@dataclass(frozen=True, slots=True)
class Written:
    """One object's manifest, by its path in the project; ``code`` is its code folder, if any."""

    address: str
    file: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The plan that adopts the objects and does nothing else, and what it was made from."""

    plan: Plan
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An import that is ready to be carried out; ``claim`` is None where there is nothing to do.

    ``files`` maps paths in the project to Git's mode and content, those that are there already
    included. ``manifests`` are sorted by kind and name, ``skipped`` too; ``already`` are names that
    were asked for and are managed here.
    """

    claim: Claim | None
    files: Mapping[str, tuple[int, bytes]]
    manifests: tuple[Written, ...]
    skipped: tuple[Skipped, ...]
    already: tuple[str, ...]


def prepare(  # noqa: PLR0913  (what to read, against what, and as what)
    source: Source,
    project: Project,
    target: str,
    reader: RegistryReader,
    wanted: Wanted,
    *,
    workspace: str,
    as_of: int,
) -> Import:
    """Work out the manifests of live objects; writes nothing.

    Named objects are all imported or none; of all objects, those that cannot be are left out.

    Raises:
        NotFound: an object that was named is not there, or is somebody else's.
        Refused: an object that was named cannot be imported, a file is in the way, no include
            matches the folder, or the project has changes that are not applied.
        ManifestError: the project's own manifests have problems.
    """
    drafts = Drafts(source, project, target, reader, wanted)
    drafts.choose()
    claim = _Settler(source, project, reader, drafts).settle(workspace, as_of)
    skipped = sorted(drafts.skipped, key=lambda s: (KINDS.index(s.kind), s.name, s.id or ""))
    if wanted.names and skipped:
        raise Refused(_reasons(skipped))
    files = drafts.files()
    in_the_way = [file for file, (_, content) in files.items() if _differs(source, file, content)]
    if in_the_way:
        names = ", ".join(in_the_way[:_SOME]) + (", ..." if len(in_the_way) > _SOME else "")
        raise Refused(f"{names} is there already and says something else; move it away")
    return Import(
        claim=claim,
        files=files,
        manifests=tuple(Written(d.address, d.file, d.code) for d in drafts.ordered()),
        skipped=tuple(skipped),
        already=tuple(drafts.already),
    )


def _reasons(skipped: Iterable[Skipped]) -> str:
    return "; ".join(f"{one.kind} '{one.name}': {one.reason}" for one in skipped)


def carry_out(
    ready: Import, claim: Claim, reopen: Callable[[], Source], registry: Registry, how: How
) -> None:
    """Write the files and claim the objects.

    ``claim`` is that of ``ready``, which has one. ``reopen`` opens the project anew: what is
    claimed is what lies there.

    Raises:
        StalePlan: the project or the workspace moved meanwhile; nothing stays written.
        WorkspaceBusy: somebody else applies; nothing stays written.
    """
    folder = Path(claim.reading.source.folder)
    manifests = {one.file for one in ready.manifests}
    made: list[Path] = []
    try:
        # Manifests come last, so that none ever lies there without the code that it refers to.
        for file in sorted(ready.files, key=lambda file: (file in manifests, file)):
            path = folder / file
            if not path.exists():
                mode, content = ready.files[file]
                disk.put(path, content, mode, via=folder)
                made.append(path)
        _claim(claim, reopen(), registry, how)
    except ReconcilerError:
        # The transaction came to nothing. After anything else it may have been committed, and then
        # the files must stay.
        for path in reversed(made):
            path.unlink(missing_ok=True)
        raise


def _claim(claim: Claim, source: Source, registry: Registry, how: How) -> None:
    desired, old = claim.reading.desired, claim.plan
    project, target = read_project(source), desired.owner.target
    reading = read(source, project, target, registry, adopt=desired.adopt)
    made = plan(reading, old.workspace, old.as_of)
    if approval_digest(made) != approval_digest(old):
        text = "the files that were written do not mean the same once they lie in the project"
        raise StalePlan(f"{text} (does .gitignore match them?), or the workspace moved; try again")
    apply_plan(made, reading, registry, how)


def _differs(source: Source, file: str, content: bytes) -> bool:
    path = Path(source.folder, file)
    if not path.is_file():
        return path.exists()
    return path.read_bytes() != content


class _Settler:
    """Reads the drafts as the project would, until a plan would only adopt."""

    def __init__(
        self, source: Source, project: Project, reader: RegistryReader, drafts: Drafts
    ) -> None:
        self.project = project
        self.reader = reader
        self.overlay = Overlay(source)
        self.owner = drafts.owner
        self.drafts = drafts
        self.dropped = False

    def settle(self, workspace: str, as_of: int) -> Claim | None:
        """Write the drafts otherwise, or leave them out, until a plan would only adopt.

        Gives None where no draft is left.

        Raises:
            Refused: other objects would change too.
            ManifestError: other manifests have problems.
        """
        target = self.owner.target
        for turn in range(_ROUNDS):
            if not self.drafts.by_address:
                return None
            self.overlay.files = {d.file: self.drafts.text(d) for d in self.drafts.ordered()}
            self.overlay.trees = {
                d.code: d.tree for d in self.drafts.ordered() if d.code and d.tree
            }
            if turn == 0:
                self._check_declared()
            adopt = frozenset(self.drafts.by_address)
            try:
                reading = read(self.overlay, self.project, target, self.reader, adopt=adopt)
            except ManifestError as error:
                self._leave_out(error)
                continue
            made = plan(reading, workspace, as_of)
            self._check_strangers(made)
            # A list, for the judgement of one must not spare the others theirs.
            if all([self._judge(change, reading) for change in made.changes]):  # noqa: C419  (the same)
                refuse(made, frozenset({"dirty"}))
                return Claim(made, reading)
        raise Refused("the manifests cannot be written so that they mean what is live")

    def _check_strangers(self, made: Plan) -> None:
        """Make sure that the plan is about the drafts alone.

        Raises:
            Refused: it is not; the message says what to do first.
        """
        strangers = [c for c in made.changes if c.address not in self.drafts.by_address]
        if not strangers:
            return
        names = [change.address for change in strangers]
        some = ", ".join(names[:_SOME]) + (", ..." if len(names) > _SOME else "")
        text = f"the project has changes that are not applied ({some})"
        for change in strangers:
            same = self.drafts.named.get(change.name, ()) if change.kind is Kind.SCHEDULE else ()
            if change.action is Action.CREATE and any(one.owner is None for one in same):
                # As an import that was cut short leaves it; an apply would make a second one.
                raise Refused(f"{text}; {change.address} is live already: import it too")
        raise Refused(f"{text}; apply them first: reconciler apply")

    def _check_declared(self) -> None:
        """Make sure that the project declares none of the objects in a file of its own.

        Raises:
            Refused: it does.
        """
        target = self.owner.target
        below = self.overlay.below(self.project.includes(target))
        loaded = load(below, compose(self.project, target), part=True)
        for draft in self.drafts.ordered():
            here = _of(loaded, draft.kind).get(draft.name)
            if here is not None and here.file != draft.file:
                text = f"{here.file}:{here.line} declares {draft.kind} '{draft.name}' already"
                raise Refused(f"{text}; claim it with: reconciler apply --adopt {draft.address}")

    def _leave_out(self, error: ManifestError) -> None:
        """Leave out the drafts that have problems.

        Raises:
            ManifestError: the problems are not theirs.
            Refused: they are of what was left out, say an override that names it.
        """
        by_file = {draft.file: draft for draft in self.drafts.by_address.values()}
        theirs = [problem for problem in error.problems if problem.file in by_file]
        if not theirs and self.dropped:
            raise Refused(f"{_reasons(self.drafts.skipped)}; without it: {error.problems[0]}")
        if not theirs:
            raise error
        for problem in theirs:
            draft = by_file[problem.file]
            if draft.address in self.drafts.by_address:
                self._drop(draft, problem.message)

    def _drop(self, draft: Draft, reason: str) -> None:
        self.dropped = True
        self.drafts.drop(draft, reason)

    def _judge(self, change: Change, reading: Reading) -> bool:
        """Tell whether a change only adopts; if not, its draft is another one afterwards."""
        draft = self.drafts.by_address[change.address]
        wrong = [one for one in change.fields if one.path not in _HARMLESS]
        if change.action is Action.ADOPT and not wrong:
            return True
        if any(one.path == _BOUND for one in wrong) and len(draft.references) > 1:
            draft.references.pop(0)
            return False
        fields = to_data(draft.value, defaults=True).keys() - {"steps"}
        for one in wrong:
            path = path_of(one.path)
            origin = _of(reading.desired, draft.kind)[draft.name].origin(*path)
            default = origin is not None and origin.how.startswith("project default")
            # Only over a default the manifest has the last word.
            if path in draft.outright or path[0] not in fields or not default:
                where = f" ({origin})" if origin is not None else ""
                text = f"{one.path} is {shown(one.old)}, but would be {shown(one.new)}{where}"
                self._drop(draft, f"{text}; change that first")
                return False
            draft.outright[path] = one.old
        return False


def _of(of: Loaded | Desired, kind: Kind) -> Mapping[str, Declared[Any]]:
    match kind:
        case Kind.SCHEDULE:
            return of.schedules
        case Kind.PIPELINE:
            return of.pipelines
        case Kind.DATASTORE:
            return of.datastores
