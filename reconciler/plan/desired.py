"""What one project declares for one target, resolved as far as it can be without the live side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.data import Datastore
from reconciler.live import Owner
from reconciler.manifest.load import Declared
from reconciler.manifest.terms import Terms
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import content_digest, spec_text
from reconciler.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Declared objects that are known to be as they were applied, and so need not be read.

    ``pipelines`` gives their content digests by name. ``objects`` counts all of them, of every
    kind, and ``active`` the Active schedules among them.
    """

    pipelines: Mapping[str, str] = field(default_factory=dict)
    datastores: frozenset[str] = frozenset()
    objects: int = 0
    active: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The desired side of a plan.

    ``code_digests`` gives the digest of a pipeline's code folder by the pipeline's name, for those
    that have one. Datastore URLs are absolute. ``adopt`` holds the addresses (``Kind.name``) that
    may be taken over from others. ``kept`` stands for what is declared beside the mappings.
    """

    owner: Owner
    schedules: Mapping[str, Declared[Schedule]] = field(default_factory=dict)
    pipelines: Mapping[str, Declared[Pipeline]] = field(default_factory=dict)
    datastores: Mapping[str, Declared[Datastore]] = field(default_factory=dict)
    code_digests: Mapping[str, str] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    adopt: frozenset[str] = frozenset()
    kept: Kept = field(default_factory=Kept)

    def digest(self, pipeline: str) -> str | None:
        """Give the content digest of a declared pipeline; None where it is not declared."""
        declared = self.pipelines.get(pipeline)
        if declared is None:
            return self.kept.pipelines.get(pipeline)
        return content_digest(spec_text(declared.value), self.code_digests.get(pipeline))

    def declares(self, pipeline: str) -> bool:
        """Tell whether a pipeline is declared, read or not."""
        return pipeline in self.pipelines or pipeline in self.kept.pipelines
