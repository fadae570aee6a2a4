"""Which published version of a pipeline a schedule runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.live import PublishedPipeline
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import spec_value
from reconciler.schedule import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.plan.desired import Desired

_VERSIONED = re.compile(r"(?P<name>[^@]+)@(?P<version>[0-9]+|latest)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The pipeline a reference stands for.

    ``pipeline`` is its interface, to check parameters against. ``published`` is the version where
    it exists; ``digest`` is that of a declared version still to be published; neither is set where
    the reference is bound anew at each fire. ``label`` is how a plan writes it.
    """

    name: str
    pipeline: Pipeline
    label: str
    published: PublishedPipeline | None = None
    digest: str | None = None


class Published:
    """Published pipelines by id, by name and by digest; each name's versions in order."""

    def __init__(self, pipelines: Iterable[PublishedPipeline]) -> None:
        self.by_id: dict[str, PublishedPipeline] = {}
        self.by_name: dict[str, list[PublishedPipeline]] = {}
        self.by_digest: dict[tuple[str, str], PublishedPipeline] = {}
        for pipeline in pipelines:
            self.by_id[pipeline.id] = pipeline
            self.by_name.setdefault(pipeline.name, []).append(pipeline)
            self.by_digest[pipeline.name, pipeline.digest] = pipeline

    def newest(self, name: str) -> PublishedPipeline | None:
        """The Active version of a name that its owner declared last, else the newest.

        After a revert that is an older one, and nobody is to run what was reverted.
        """
        active = (p for p in self.by_name.get(name, ()) if p.status is Status.ACTIVE)
        return max(active, key=lambda version: (version.declared, version.version), default=None)


def label(pipeline: PublishedPipeline) -> str:
    """Write a version as ``name@3``; by its content where nobody knows its number (0)."""
    return f"{pipeline.name}@{pipeline.version or pipeline.digest[:12]}"


class Bindings:
    """What the references of one desired side stand for; each is worked out once."""

    def __init__(self, desired: Desired, pipelines: Iterable[PublishedPipeline]) -> None:
        self.published = Published(pipelines)
        self._desired = desired
        self._digests: dict[str, str | None] = {}
        self._found: dict[str, Binding | None] = {}

    def digest(self, name: str) -> str | None:
        """Give the content digest of a declared pipeline; None where it is not declared."""
        if name not in self._digests:
            self._digests[name] = self._desired.digest(name)
        return self._digests[name]

    def bind(self, reference: str) -> Binding | None:
        """Resolve ``name``, ``name@3``, ``name@latest`` or a published id; None for an unknown one.

        A bare name is the declared pipeline if the project declares it, found by its content, so
        that a revert binds to the old version again; else the newest Active version.
        """
        if reference not in self._found:
            self._found[reference] = self._bind(reference)
        return self._found[reference]

    def _bind(self, reference: str) -> Binding | None:
        by_id = self.published.by_id.get(reference)
        if by_id is not None:
            return _to_version(by_id)
        match = _VERSIONED.fullmatch(reference)
        name = match["name"] if match else reference
        version = match["version"] if match else None
        if version is not None and version != "latest":
            known = self.published.by_name.get(name, ())
            return next((_to_version(p) for p in known if p.version == int(version)), None)
        binding = self._declared(name)
        if binding is None:
            newest = self.published.newest(name)
            if newest is None:
                return None
            binding = _to_version(newest)
        if version == "latest":
            return Binding(name=name, pipeline=binding.pipeline, label=f"{name}@latest")
        return binding

    def _declared(self, name: str) -> Binding | None:
        """Bind to the pipeline that the project declares; None where it declares none."""
        digest = self.digest(name)
        if digest is None:
            return None
        version = self.published.by_digest.get((name, digest))
        declared = self._desired.pipelines.get(name)
        if declared is None:
            # Kept as it was applied, so its version is there.
            return None if version is None else _to_version(version)
        return Binding(
            name=name,
            pipeline=declared.value,
            label=f"{name}@new" if version is None else label(version),
            published=version,
            digest=digest,
        )


def _to_version(version: PublishedPipeline) -> Binding:
    return Binding(
        name=version.name,
        pipeline=spec_value(Pipeline, version.spec),
        label=label(version),
        published=version,
        digest=version.digest,
    )
