"""Real keys, SSH's and GnuPG's, and commits signed with them."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path


def run(*words, **given):
    done = subprocess.run(words, check=False, capture_output=True, text=True, **given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ssh_key(folder, name):
    """Make a key; returns its public half, ``TYPE KEY``, and its fingerprint."""
    file = Path(folder, name)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file))
    kind, key, _ = Path(f"{file}.pub").read_text().split()
    return f"{kind} {key}", run("ssh-keygen", "-l", "-f", f"{file}.pub").split()[1]


def signed_with(key):
    """Give the options of Git by which it signs with an SSH key."""
    return ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")


@contextmanager
def gpg_home():
    """Make a folder of GnuPG's, whose path is short enough for its sockets."""
    folder = tempfile.mkdtemp(prefix="g", dir="/tmp")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def gpg_key(home, name, *, until="never"):
    """Make a key of GnuPG's; returns its fingerprint."""
    who = f"{name} <{name}@example.org>"
    gpg(home, "--quick-generate-key", who, "ed25519", "sign", until)
    rows = gpg(home, "--list-keys", "--with-colons", who).splitlines()
    return next(row for row in rows if row.startswith("fpr")).split(":")[9]


def gpg(home, *words, **given):
    base = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "")
    return run(*base, *words, **given)


def with_gpg(home):
    """Give the environment in which Git signs with keys of ``home``."""
    return os.environ | {"GNUPGHOME": str(home)}
