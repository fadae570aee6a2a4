"""Containers of Azure that scripts register, as they did with Azure ML."""

import json
from pathlib import Path

import pytest

from reconciler.errors import InvalidValue, Refused
from reconciler.sdk import Datastore, Schedule
from reconciler.workspace.records import Poll, WatchState

KEY = "${{ secret.LANDING_KEY }}"
SECRET = "aHVudGVyMmh1bnRlcjI="


def register(ws, name="incoming", **said):
    given = {"container_name": "orders", "account_name": "contosodata", **said}
    return Datastore.register_azure_blob_container(workspace=ws, datastore_name=name, **given)


def spec(ws, name="incoming"):
    return next(
        json.loads(here.spec) for here in ws.registry.live().datastores if here.name == name
    )


def test_a_container_is_registered_and_watched_as_with_azure_ml(ws, pipeline):
    blob_datastore = Datastore.register_azure_blob_container(
        workspace=ws,
        datastore_name="incoming",
        container_name="orders",
        account_name="contosodata",
        account_key=KEY,
    )
    assert (blob_datastore.name, blob_datastore.url) == ("incoming", "az://orders")
    assert (blob_datastore.account_name, blob_datastore.container_name) == ("contosodata", "orders")
    schedule = Schedule.create(
        ws,
        name="OnOrder",
        pipeline_id=pipeline.id,
        experiment_name="orders",
        datastore=blob_datastore,
        path_on_datastore="new",
        polling_interval=1,
        data_path_parameter_name="input_data",
    )
    assert (schedule.datastore_name, schedule.path_on_datastore) == ("incoming", "new")
    assert schedule.polling_interval == 1
    assert spec(ws) == {
        "name": "incoming",
        "url": "az://orders",
        "account": "contosodata",
        "credentials": {"account_key": KEY},
    }
    folder = Datastore.get(ws, "workspaceblobstore")
    assert (folder.account_name, folder.container_name) == (None, None)


@pytest.mark.parametrize("name", ["account_key", "sas_token"])
def test_a_key_that_is_written_out_is_refused_and_nowhere_to_be_found(project, ws, name):
    with pytest.raises(InvalidValue) as caught:
        register(ws, **{name: SECRET})
    assert str(caught.value) == (
        f"{name} must be a reference, ${{{{ secret.NAME }}}}; "
        "the runner's configuration says where that is"
    )
    assert [here.name for here in ws.registry.live().datastores] == ["workspaceblobstore"]
    files = [path for path in Path(project.folder).rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("said", "endpoint"),
    [
        ({}, None),
        ({"endpoint": "core.windows.net", "protocol": "https"}, None),
        (
            {"endpoint": "core.chinacloudapi.cn"},
            "https://contosodata.blob.core.chinacloudapi.cn",
        ),
        ({"protocol": "http"}, "http://contosodata.blob.core.windows.net"),
    ],
)
def test_an_address_is_kept_where_it_is_not_the_usual_one(ws, said, endpoint):
    register(ws, **said)
    assert spec(ws).get("endpoint") == endpoint


def test_a_name_is_taken_only_with_leave(ws):
    register(ws, skip_validation=True, subscription_id="s", resource_group="r")
    with pytest.raises(Refused, match="is registered already; choose another name, or pass over"):
        register(ws, sas_token=KEY)
    register(ws, sas_token=KEY, overwrite=True)
    assert spec(ws)["credentials"] == {"sas_token": KEY}


def test_a_datastore_of_a_project_is_left_to_its_manifest(ws):
    with pytest.raises(Refused, match="is managed by shop/dev; edit its manifest"):
        register(ws, "workspaceblobstore", overwrite=True)


@pytest.mark.parametrize("name", ["create_if_not_exists", "grant_workspace_access"])
def test_what_would_be_made_in_azure_is_refused(ws, name):
    with pytest.raises(InvalidValue, match=name):
        register(ws, **{name: True})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"account_name": "Contoso"}, "account 'Contoso' is not accepted"),
        ({"name": "my store"}, "name 'my store' is not accepted"),
        ({"account_key": KEY, "sas_token": KEY}, "contradict each other"),
    ],
)
def test_it_goes_by_the_rules_of_a_manifest(ws, said, message):
    with pytest.raises(InvalidValue, match=message):
        register(ws, **said)


@pytest.mark.parametrize(("container", "anew"), [("orders", False), ("invoices", True)])
def test_another_container_under_the_name_begins_anew_and_another_key_does_not(
    ws, pipeline, container, anew
):
    store = register(ws)
    schedule = Schedule.create(
        ws, "OnOrder", pipeline.id, "orders", datastore=store, path_on_datastore="new"
    )
    watch = ws.ledger.watch_of(schedule.id)
    first = Poll(
        watch_id=watch.id,
        poll_seq=1,
        polled_at=1,
        listed=0,
        state=WatchState.READY,
        next_poll=2,
    )
    with ws.ledger.transaction() as tx:
        assert tx.record_poll(first, baseline=True)
    register(ws, container_name=container, account_key=KEY, overwrite=True)
    after = WatchState.BASELINING if anew else WatchState.READY
    assert ws.ledger.watch_of(schedule.id).state is after
