"""What one project declares for one target, resolved as far as it can be without the live side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.live import Owner
from reconciler.manifest.load import Declared
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import content_digest, spec_text
from reconciler.schedule import Datastore, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The desired side of a plan.

    ``code_digests`` gives the digest of a pipeline's code folder by the pipeline's name, for those
    that have one. Datastore URLs are absolute.
    """

    owner: Owner
    schedules: Mapping[str, Declared[Schedule]] = field(default_factory=dict)
    pipelines: Mapping[str, Declared[Pipeline]] = field(default_factory=dict)
    datastores: Mapping[str, Declared[Datastore]] = field(default_factory=dict)
    code_digests: Mapping[str, str] = field(default_factory=dict)

    def digest(self, pipeline: str) -> str:
        """Give the content digest of a declared pipeline."""
        spec = spec_text(self.pipelines[pipeline].value)
        return content_digest(spec, self.code_digests.get(pipeline))
