"""Whose signatures count, and whether commits have one of theirs; Git verifies, this says why not.

What counts is named from outside of the repository: nothing that a commit holds may make it
trusted. So a commit is verified before anything in it is read (docs/adr/0021).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import SourceError
from reconciler.source.history import History
from reconciler.source.process import Objects, end, start

if TYPE_CHECKING:
    from reconciler.source.base import Source

# Whatever else is configured, only what the rule names is trusted, and no other program asked.
_PROGRAMS = ("gpg.program=gpg", "gpg.ssh.program=ssh-keygen", "gpg.x509.program=false")
_NOTHING = os.devnull
_SSH, _PGP = "-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP "
_GOOD, _UNKNOWN = 'Good "git" signature for ', 'Good "git" signature with '
_SIGNED = {
    digits: re.compile(rb"^%b ((?:.*\n )*.*)" % field, re.MULTILINE)
    for digits, field in ((40, b"gpgsig"), (64, b"gpgsig-sha256"))
}
_MAGIC = b"SSHSIG"
_KRL = b"SSHKRL\n"
_STATUS = re.compile(r"^\[GNUPG:\] (\w+)(?: (\S+))?", re.MULTILINE)
_MISSING = re.compile(r"^error: cannot run (.+?): No such file", re.MULTILINE)
_AGAIN = "sign it anew with a key that counts"


class Required(StrEnum):
    """Which commits must be signed: the one that is read, or all since the last applied one."""

    HEAD = "head"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which commits must be signed, and by whom.

    ``signers`` is a file of SSH keys as ``ssh-keygen`` reads it (ALLOWED SIGNERS), ``revoked`` one
    of SSH keys that no longer count, ``keyring`` a folder of GnuPG's: each key in it counts.
    """

    required: Required
    signers: str | None = None
    revoked: str | None = None
    keyring: str | None = None


class UntrustedError(SourceError):
    """A commit is not signed by anybody whose signature counts; the text says why, and what to do.

    Nothing in it was read.
    """


class Verifier:
    """Verifies the commit that a source reads, and those before it, by a rule.

    Raises:
        SourceError: what the rule names is not there, or lies in the repository that it judges.
    """

    def __init__(self, source: Source, rule: Rule) -> None:
        state = source.state()
        self._folder = source.folder
        self._commit = state.commit
        self._objects = Objects(source.folder)
        top = source.folder.removesuffix(state.project_path).rstrip("/")
        self._rule = replace(
            rule,
            signers=_outside(rule.signers, top, "the file of allowed signers"),
            revoked=_outside(rule.revoked, top, "the file of revoked signers"),
            keyring=_outside(rule.keyring, top, "the keyring"),
        )
        if self._rule.revoked is not None:
            _check_revoked(self._rule.revoked)

    def head(self) -> None:
        """Verify the commit that is read.

        Raises:
            UntrustedError: its signature does not count.
            SourceError: no commit is read, or Git cannot tell.
        """
        if self._commit is None:
            raise SourceError("signed commits are required, and there is no commit yet")
        self._verify(self._commit, f"commit {self._commit[:12]}")

    def since(self, applied: str | None) -> None:
        """Verify, where the rule is about all commits, those that came after the last applied one.

        Without one there is nothing to go back to, and the commit that is read stands for all.

        Raises:
            UntrustedError: the signature of one of them does not count.
            SourceError: some are not in this clone, or Git cannot tell.
        """
        if self._rule.required is not Required.ALL or applied is None or self._commit is None:
            return
        for commit in History(self._folder, self._objects, self._commit).since(applied):
            if commit != self._commit:
                text = f"commit {commit[:12]}, made since the last applied {applied[:12]},"
                self._verify(commit, text)

    def _verify(self, commit: str, name: str) -> None:
        signature = self._signature(commit)
        if not signature:
            raise UntrustedError(f"{name} is not signed; {_AGAIN}: git commit --amend --no-edit -S")
        if signature.startswith(_SSH):
            fault = self._ssh(commit, signature)
        elif signature.startswith(_PGP):
            fault = self._pgp(commit)
        else:
            fault = f"has a signature of a kind that is not known; {_AGAIN}, of SSH or GnuPG"
        if fault:
            raise UntrustedError(f"{name} {fault}")

    def _signature(self, commit: str) -> str:
        """Give what signs a commit; empty where nothing does."""
        found = self._objects.get(commit)
        head = found.content.partition(b"\n\n")[0] if found else b""
        signed = _SIGNED[len(commit)].search(head)
        return os.fsdecode(signed[1].replace(b"\n ", b"\n")) if signed else ""

    def _ssh(self, commit: str, signature: str) -> str:
        """Say why an SSH signature does not count; empty where it does."""
        key, rule = _fingerprint(signature), self._rule
        if rule.signers is None:
            text = f"is signed with the SSH key {key}, and no file says whose count"
            return f"{text}; name one: --allowed-signers FILE"
        good, said = self._ask(commit)
        if good and _GOOD in said:
            return ""
        # What ssh-keygen says of a line of the file is said of the line that has this key.
        notes = [line for line in said.splitlines() if line.startswith(f"{rule.signers}:")]
        note = f" ({'; '.join(notes)})" if notes else ""
        for mark, text in {
            "key has expired": f"is signed with a key that had expired, {key}{note}; {_AGAIN}",
            "not yet valid": f"is signed with a key that was not valid yet, {key}{note}; {_AGAIN}",
            "namespace": f"is signed with a key that is not for Git, {key}{note}; {_AGAIN}",
            _UNKNOWN: f"is signed with an unknown key, {key}{note}; "
            f"{_AGAIN}, or add the key to {rule.signers}",
            "incorrect signature": f"is not what was signed with the key {key}: "
            f"its signature is bad; {_AGAIN}",
        }.items():
            if mark in said:
                return text
        if self._ask(commit, revoked=_NOTHING)[0]:
            return f"is signed with a revoked key, {key}; {_AGAIN}"
        return f"has a bad signature ({_last(said)}); {_AGAIN}"

    def _pgp(self, commit: str) -> str:
        """Say why a signature of GnuPG's does not count; empty where it does."""
        good, said = self._ask(commit)
        statuses = dict(_STATUS.findall(said))
        if good and "GOODSIG" in statuses:
            return ""
        for status, text in {
            "REVKEYSIG": "is signed with a revoked key, {}; " + _AGAIN,
            "EXPKEYSIG": "is signed with a key that has expired, {}; " + _AGAIN,
            "EXPSIG": "has a signature that has expired, of the key {}; " + _AGAIN,
            "BADSIG": "is not what was signed with the key {}: its signature is bad; " + _AGAIN,
            "NO_PUBKEY": f"is signed with an unknown key, {{}}; {_AGAIN}, or {self._import()}",
            "GOODSIG": "is signed with a key that is not trusted enough, {}; see gpg.minTrustLevel",
        }.items():
            if status in statuses:
                return text.format(statuses[status])
        return f"has a bad signature ({_last(said)}); {_AGAIN}"

    def _import(self) -> str:
        if self._rule.keyring is None:
            return "name the folder of a keyring: --gpg-home DIR"
        return f"import it: gpg --homedir {self._rule.keyring} --import FILE"

    def _ask(self, commit: str, revoked: str | None = None) -> tuple[bool, str]:
        """Let Git verify a commit: whether the signature counts, and what was said.

        Raises:
            SourceError: the program that verifies such signatures is not there.
        """
        rule = self._rule
        options = [*_PROGRAMS, f"gpg.ssh.allowedSignersFile={rule.signers or _NOTHING}"]
        if file := revoked or rule.revoked:
            options.append(f"gpg.ssh.revocationFile={file}")
        words = [word for option in options for word in ("-c", option)]
        home = {"GNUPGHOME": rule.keyring or _NOTHING}
        process = start(self, self._folder, *words, "verify-commit", "--raw", commit, further=home)
        output, said = process.communicate()
        end(process)
        text = os.fsdecode(output + said)
        if missing := _MISSING.search(text):
            raise SourceError(f"signatures cannot be verified, for {missing[1]} is not installed")
        return process.returncode == 0, text


def _outside(path: str | None, top: str, what: str) -> str | None:
    """Give the real path of something that must not lie in the repository."""
    if path is None:
        return None
    real = os.path.realpath(path)
    if not Path(real).exists():
        raise SourceError(f"{what} is not there: {path}")
    if f"{real}/".startswith(f"{top}/"):
        text = f"{what}, {path}, lies in the repository whose commits it is to judge"
        raise SourceError(f"{text}; keep it outside, where no commit can change it")
    return real


def _check_revoked(file: str) -> None:
    """Refuse a file that ``ssh-keygen`` could not read: it would take every key for revoked."""
    content = Path(file).read_bytes()
    if content.startswith(_KRL):
        return
    for number, line in enumerate(content.splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith(b"#") and len(words) < 2:
            raise SourceError(f"{file}:{number}: this is no public key of SSH; write TYPE KEY")


def _fingerprint(signature: str) -> str:
    """Give the fingerprint of the key that made an SSH signature, as ``ssh-keygen`` writes it."""
    body = "".join(line for line in signature.splitlines()[1:] if not line.startswith("-----"))
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error:
        blob = b""
    start_at = len(_MAGIC) + 8
    size = int.from_bytes(blob[start_at - 4 : start_at], "big")
    key = blob[start_at : start_at + size]
    if not blob.startswith(_MAGIC) or len(key) < size:
        return "that cannot be read"
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "Git said nothing"
