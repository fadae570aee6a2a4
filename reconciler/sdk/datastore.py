"""The places files live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import Datastore as Declared
from reconciler.manifest.emit import from_data
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import find_datastore
from reconciler.reconcile.register import register_datastore
from reconciler.sdk.wrong import wrong

if TYPE_CHECKING:
    from reconciler.sdk.workspace import Workspace

_AZURE = "core.windows.net"


class Datastore:
    """A registered datastore, to be watched by a schedule.

    Azure ML's data triggers take blob containers only; here it is any datastore that the runner can
    list: a local folder, or a container or bucket of Azure, S3 or Google. ``url`` tells where the
    files are; ``account_name`` and ``container_name`` are those of Azure, and None elsewhere.

    Raises:
        NotFound: the workspace has none of that name.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        declared = spec_value(Declared, find_datastore(workspace.registry.live(), name))
        self.workspace = workspace
        self.name = declared.name
        self.description = declared.description
        self.url = declared.url
        self.account_name = declared.account
        blob = declared.scheme == "az"
        self.container_name = declared.url.split("/")[2] if blob else None

    @staticmethod
    def get(workspace: Workspace, datastore_name: str) -> Datastore:
        """Find a registered datastore.

        Raises:
            NotFound: the workspace has none of that name.
        """
        return Datastore(workspace, datastore_name)

    @staticmethod
    def register_azure_blob_container(  # noqa: PLR0913, PLR0917  (Azure ML's)
        workspace: Workspace,
        datastore_name: str,
        container_name: str,
        account_name: str,
        sas_token: str | None = None,
        account_key: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        create_if_not_exists: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        skip_validation: bool = False,  # noqa: ARG004, FBT001, FBT002  (nothing is asked of it here)
        blob_cache_timeout: int | None = None,  # noqa: ARG004  (nothing is mounted)
        grant_workspace_access: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        subscription_id: str | None = None,  # noqa: ARG004  (the account's name is enough)
        resource_group: str | None = None,  # noqa: ARG004  (the same)
    ) -> Datastore:
        """Register a blob container; the store itself is not asked.

        A workspace keeps no credentials: ``account_key`` and ``sas_token`` are references,
        ``${{ secret.NAME }}``, to what the runner's configuration knows. Without either the
        runner's own identity opens the container. ``endpoint`` is the end of the store's address,
        ``core.windows.net`` by default.

        Raises:
            InvalidValue: by the rules of a manifest; a credential that is written out; or something
                is to be made in Azure, which is not done from here.
            Refused: one of that name is there and ``overwrite`` is False, or a project manages it.
        """
        if create_if_not_exists:
            text = "create_if_not_exists: make the container with Azure's own tools first"
            raise wrong("create_if_not_exists", text)
        if grant_workspace_access:
            text = "grant_workspace_access: give the runner's identity a role in Azure instead"
            raise wrong("grant_workspace_access", text)
        credentials = {"account_key": account_key, "sas_token": sas_token}
        elsewhere = (endpoint or _AZURE, protocol or "https") != (_AZURE, "https")
        address = f"{protocol or 'https'}://{account_name}.blob.{endpoint or _AZURE}"
        data = {
            "name": datastore_name,
            "url": f"az://{container_name}",
            "account": account_name,
            "endpoint": address if elsewhere else None,
            "credentials": {name: text for name, text in credentials.items() if text is not None},
        }
        store = from_data(Declared, data)
        register_datastore(workspace.registry, store, overwrite=overwrite)
        return Datastore(workspace, store.name)

    def __repr__(self) -> str:
        return f"Datastore(Name: {self.name}, Url: {self.url})"
