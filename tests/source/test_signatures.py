"""Whose signatures count: each commit that nobody who counts signed is refused with its reason."""

import os
import shutil
from types import SimpleNamespace

import pytest

from reconciler.errors import SourceError
from reconciler.source.git import open_commit
from reconciler.source.signatures import Required, Rule, UntrustedError, Verifier
from tests.source.repositories import Repository, steady
from tests.source.signing import gpg, gpg_home, gpg_key, run, signed_with, ssh_key, with_gpg

ANEW = "sign it anew with a key that counts"
# Repositories' commits are of October 2025.
BEFORE, AFTER = 'valid-before="20250101"', 'valid-after="20990101"'


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """SSH keys by name, each with its file, public half and fingerprint, and who may sign."""
    folder = tmp_path_factory.mktemp("keys")
    found = {}
    for name in ("ada", "bob", "eve", "old", "new", "mail", "gone"):
        public, print_ = ssh_key(folder, name)
        found[name] = SimpleNamespace(file=str(folder / name), public=public, print=print_)
    options = {"old": BEFORE, "new": AFTER, "mail": 'namespaces="email"'}
    known = [name for name in found if name != "eve"]
    lines = [f"{name}@example.org {options.get(name, '')} {found[name].public}" for name in known]
    signers = folder / "signers"
    signers.write_text("# who may sign\n" + "\n".join(lines) + "\n")
    revoked = folder / "revoked"
    revoked.write_text(f"# lost in May\n\n{found['gone'].public}\n")
    run("ssh-keygen", "-k", "-q", "-f", str(folder / "krl"), f"{found['gone'].file}.pub")
    return SimpleNamespace(**found, signers=str(signers), revoked=str(revoked), folder=folder)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    steady(monkeypatch)
    made = Repository(tmp_path / "shop")
    made.write("reconciler.yml", "project: shop\n")
    return made


def sign(repository, key, *words):
    repository.minute += 1
    repository.git("add", "--all")
    repository.git(*signed_with(key.file), "commit", "-q", "--allow-empty", "-S", "-m", "x", *words)
    return repository.git("rev-parse", "HEAD")


def verifier(repository, revision="HEAD", **rule):
    rule.setdefault("required", Required.HEAD)
    return Verifier(open_commit(str(repository.folder), revision), Rule(**rule))


def refusal(repository, revision="HEAD", **rule):
    """Give why a commit is refused, without its name."""
    commit = repository.git("rev-parse", f"{revision}^{{commit}}")
    with pytest.raises(UntrustedError) as refused:
        verifier(repository, revision, **rule).head()
    name, said = f"commit {commit[:12]} ", str(refused.value)
    assert said.startswith(name)
    assert "\n" not in said
    return said.removeprefix(name)


def forge(repository, *, old, new, revision="HEAD"):
    """Write the commit again with another content under the same signature, and go there."""
    content = repository.git("cat-file", "commit", revision).replace(old, new, 1)
    file = repository.folder.parent / "forged"
    file.write_text(content + "\n")
    commit = repository.git("hash-object", "-t", "commit", "-w", str(file))
    repository.git("reset", "-q", "--hard", commit)


def test_a_commit_that_somebody_who_counts_signed_is_verified(repository, keys):
    sign(repository, keys.ada)
    verifier(repository, signers=keys.signers, revoked=keys.revoked).head()


def test_so_is_what_a_tag_names_and_a_project_in_a_folder(repository, keys):
    repository.write("jobs/reconciler.yml", "project: jobs\n")
    sign(repository, keys.ada)
    repository.git("tag", "-a", "-m", "first", "v1")
    source = open_commit(str(repository.folder / "jobs"), "v1")
    Verifier(source, Rule(required=Required.HEAD, signers=keys.signers)).head()


def test_a_repository_that_counts_in_sha_256_is_verified_as_well(tmp_path, monkeypatch, keys):
    steady(monkeypatch)
    repository = Repository(tmp_path / "shop", new=False)
    repository.folder.mkdir()
    repository.git("init", "-q", "--object-format=sha256")
    repository.write("reconciler.yml", "project: shop\n")
    repository.commit()
    assert refusal(repository, signers=keys.signers).startswith("is not signed")
    sign(repository, keys.ada)
    verifier(repository, signers=keys.signers).head()
    sign(repository, keys.eve)
    assert "unknown key" in refusal(repository, signers=keys.signers)


def test_a_commit_without_a_signature_is_refused(repository, keys):
    repository.commit()
    said = refusal(repository, signers=keys.signers)
    assert said == f"is not signed; {ANEW}: git commit --amend --no-edit -S"


def test_a_repository_without_a_commit_has_nothing_to_verify(keys):
    state = SimpleNamespace(commit=None, project_path="")
    source = SimpleNamespace(state=lambda: state, folder="/nowhere")
    with pytest.raises(SourceError, match="and there is no commit yet"):
        Verifier(source, Rule(required=Required.HEAD)).head()
    Verifier(source, Rule(required=Required.ALL)).since("0" * 40)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eve", "is signed with an unknown key, {}; {ANEW}, or add the key to {signers}"),
        ("gone", "is signed with a revoked key, {}; {ANEW}"),
        (
            "old",
            (
                "is signed with a key that had expired, {} ({signers}:4: key has expired: "
                "verify time {at} > valid-before 2025-01-01T00:00:00); {ANEW}"
            ),
        ),
        (
            "new",
            (
                "is signed with a key that was not valid yet, {} ({signers}:5: key is not yet valid: "
                "verify time {at} < valid-after 2099-01-01T00:00:00); {ANEW}"
            ),
        ),
        (
            "mail",
            (
                "is signed with a key that is not for Git, {} ({signers}:6: key is not permitted "
                'for use in signature namespace "git"); {ANEW}'
            ),
        ),
    ],
)
def test_a_key_that_does_not_count_is_refused_with_its_reason(
    repository, keys, monkeypatch, name, said
):
    monkeypatch.setenv("TZ", "UTC")
    key = getattr(keys, name)
    sign(repository, key)
    at = repository.git("log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%S")
    expected = said.format(key.print, ANEW=ANEW, signers=keys.signers, at=at)
    assert refusal(repository, signers=keys.signers, revoked=keys.revoked) == expected


def test_a_list_of_revocations_that_ssh_keygen_made_counts_too(repository, keys):
    sign(repository, keys.gone)
    verifier(repository, signers=keys.signers).head()
    said = refusal(repository, signers=keys.signers, revoked=str(keys.folder / "krl"))
    assert said == f"is signed with a revoked key, {keys.gone.print}; {ANEW}"


def test_what_the_machine_is_configured_to_revoke_stays_revoked(repository, keys):
    sign(repository, keys.gone)
    repository.git("config", "gpg.ssh.revocationFile", keys.revoked)
    assert "is signed with a revoked key" in refusal(repository, signers=keys.signers)


def test_another_content_under_a_signature_is_refused(repository, keys):
    sign(repository, keys.ada)
    forge(repository, old="\n\nx", new="\n\ny")
    text = f"is not what was signed with the key {keys.ada.print}: its signature is bad; {ANEW}"
    assert refusal(repository, signers=keys.signers) == text


@pytest.mark.parametrize("cut", [" U1NIU0lH", " AAAA"])
def test_a_signature_that_cannot_be_read_is_refused(repository, keys, cut):
    sign(repository, keys.ada)
    forge(repository, old=" U1NIU0lH", new=f"{cut}!" if cut == " U1NIU0lH" else cut)
    said = refusal(repository, signers=keys.signers)
    assert said.startswith("has a bad signature (")
    assert "cannot be read" in refusal(repository)


def test_a_signature_of_another_kind_is_refused(repository, keys):
    sign(repository, keys.ada)
    forge(repository, old="-----BEGIN SSH SIGNATURE-----", new="-----BEGIN SIGNED MESSAGE-----")
    said = refusal(repository, signers=keys.signers)
    assert said == f"has a signature of a kind that is not known; {ANEW}, of SSH or GnuPG"


def test_without_a_file_no_ssh_key_counts(repository, keys):
    sign(repository, keys.ada)
    said = refusal(repository)
    text = f"is signed with the SSH key {keys.ada.print}, and no file says whose count"
    assert said == f"{text}; name one: --allowed-signers FILE"


def test_a_line_that_is_no_key_is_told_with_the_key_that_is_missed(repository, keys, tmp_path):
    sign(repository, keys.eve)
    signers = tmp_path / "signers"
    signers.write_text("eve@example.org\n")
    said = refusal(repository, signers=str(signers))
    assert said.startswith(f"is signed with an unknown key, {keys.eve.print} ({signers}:1: ")


def test_the_repositorys_own_configuration_makes_nobody_count(repository, keys, tmp_path):
    own = tmp_path / "own"
    own.write_text(f"eve@example.org {keys.eve.public}\n")
    sign(repository, keys.eve)
    repository.git("config", "gpg.ssh.allowedSignersFile", str(own))
    repository.git("config", "gpg.ssh.program", "true")
    assert "is signed with an unknown key" in refusal(repository, signers=keys.signers)
    assert "no file says whose count" in refusal(repository)


def test_a_replaced_commit_is_judged_as_itself(repository, keys):
    good = sign(repository, keys.ada)
    bad = repository.commit()
    repository.git("replace", bad, good)
    commit = bad[:12]
    with pytest.raises(UntrustedError, match=f"commit {commit} is not signed"):
        verifier(repository, bad, signers=keys.signers).head()


def test_where_nothing_can_verify_signatures_that_is_told(repository, keys, tmp_path, monkeypatch):
    sign(repository, keys.ada)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(SourceError) as refused:
        verifier(repository, signers=keys.signers).head()
    said = "signatures cannot be verified, for ssh-keygen is not installed"
    assert str(refused.value) == said


class TestTheCommitsSinceTheLastAppliedOne:
    @pytest.fixture
    def history(self, repository, keys):
        """Give a signed commit, an unsigned one after it, and a signed head."""
        applied = sign(repository, keys.ada)
        between = repository.commit()
        sign(repository, keys.bob)
        return SimpleNamespace(repository=repository, applied=applied, between=between)

    def since(self, history, keys, applied=None, required=Required.ALL, **rule):
        made = verifier(history.repository, required=required, signers=keys.signers, **rule)
        made.head()
        made.since(history.applied if applied is None else applied)

    def test_must_all_be_signed(self, history, keys):
        with pytest.raises(UntrustedError) as refused:
            self.since(history, keys)
        text = f"commit {history.between[:12]}, made since the last applied {history.applied[:12]},"
        assert str(refused.value).startswith(f"{text} is not signed; ")

    def test_are_those_of_merged_branches_too(self, repository, keys):
        applied = sign(repository, keys.ada)
        repository.git("checkout", "-q", "-b", "side")
        repository.write("a", "a")
        bad = repository.commit()
        repository.git("checkout", "-q", "main")
        repository.write("b", "b")
        sign(repository, keys.ada)
        repository.git(*signed_with(keys.ada.file), "merge", "-q", "-S", "-m", "merge", "side")
        made = verifier(repository, required=Required.ALL, signers=keys.signers)
        made.head()
        with pytest.raises(UntrustedError, match=f"commit {bad[:12]}, made since .* is not signed"):
            made.since(applied)

    def test_count_from_that_one_on(self, history, keys):
        self.since(history, keys, applied=history.between)
        self.since(history, keys, applied=history.repository.git("rev-parse", "HEAD"))

    def test_are_of_no_matter_where_the_head_is_enough(self, history, keys):
        self.since(history, keys, required=Required.HEAD)

    def test_are_none_before_a_first_apply(self, history, keys):
        made = verifier(history.repository, required=Required.ALL, signers=keys.signers)
        made.since(None)

    def test_must_be_in_the_clone(self, history, keys, tmp_path):
        origin = history.repository
        run("git", "clone", "-q", "--depth=1", f"file://{origin.folder}", str(tmp_path / "clone"))
        shallow = Repository(tmp_path / "clone", new=False)
        cut = SimpleNamespace(repository=shallow, applied=history.applied)
        way = "fetch all history (actions/checkout: fetch-depth: 0)"
        with pytest.raises(SourceError) as refused:
            self.since(cut, keys)
        text = f"what came after commit {history.applied[:12]} is not known here"
        assert str(refused.value) == f"{text}; {way}"

    def test_must_be_there_on_every_way(self, repository, keys, tmp_path):
        """A clone that has the last applied commit may lack a part of a merged branch."""
        first = sign(repository, keys.ada)
        repository.git("checkout", "-q", "-b", "side")
        for number in "123":
            repository.write("a", number)
            sign(repository, keys.ada)
        repository.git("checkout", "-q", "main")
        repository.write("b", "b")
        sign(repository, keys.ada)
        repository.git(*signed_with(keys.ada.file), "merge", "-q", "-S", "-m", "merge", "side")
        run("git", "clone", "-q", "--depth=3", f"file://{repository.folder}", str(tmp_path / "c"))
        made = verifier(
            Repository(tmp_path / "c", new=False), required=Required.ALL, signers=keys.signers
        )
        with pytest.raises(SourceError, match=r"some of what came after .* fetch-depth: 0"):
            made.since(first)

    def test_cannot_be_told_where_history_was_rewritten(self, history, keys):
        with pytest.raises(SourceError, match=r"after commit 0{12} is not known here; was history"):
            self.since(history, keys, applied="0" * 40)


class TestWhatTheRuleNames:
    def test_must_be_there(self, repository, keys):
        sign(repository, keys.ada)
        for name, what in (
            ("signers", "the file of allowed signers"),
            ("revoked", "the file of revoked signers"),
            ("keyring", "the keyring"),
        ):
            with pytest.raises(SourceError) as refused:
                verifier(repository, **{name: "/nowhere/x"})
            assert str(refused.value) == f"{what} is not there: /nowhere/x"

    def test_must_not_lie_in_the_repository(self, repository, keys, tmp_path):
        repository.write("jobs/reconciler.yml", "project: jobs\n")
        inside = repository.write("signers", f"eve@example.org {keys.eve.public}\n")
        sign(repository, keys.eve)
        link = tmp_path / "link"
        link.symlink_to(inside)
        for path in (str(inside), str(link), os.path.relpath(inside)):
            source = open_commit(str(repository.folder / "jobs"), "HEAD")
            with pytest.raises(SourceError) as refused:
                Verifier(source, Rule(required=Required.HEAD, signers=path))
            assert str(refused.value) == (
                f"the file of allowed signers, {path}, lies in the repository whose commits it is "
                "to judge; keep it outside, where no commit can change it"
            )

    def test_must_be_readable_as_what_it_is(self, repository, keys, tmp_path):
        sign(repository, keys.ada)
        wrong = tmp_path / "revoked"
        wrong.write_text(f"{keys.gone.public}\nnonsense\n")
        with pytest.raises(SourceError) as refused:
            verifier(repository, signers=keys.signers, revoked=str(wrong))
        assert str(refused.value) == f"{wrong}:2: this is no public key of SSH; write TYPE KEY"


@pytest.fixture(scope="module")
def homes():
    """Give a home with secret keys, one with what others know of them, and an empty one."""
    with gpg_home() as secret, gpg_home() as past, gpg_home() as keyring, gpg_home() as empty:
        prints = {name: gpg_key(secret, name) for name in ("ada", "gone")}
        (past / "gpg.conf").write_text("faked-system-time 20200101T000000\n")
        prints["old"] = gpg_key(past, "old", until="1d")
        for home, name in ((secret, "ada"), (secret, "gone"), (past, "old")):
            public = gpg(home, "--armor", "--export", prints[name])
            gpg(keyring, "--import", input=public)
        file = secret / "openpgp-revocs.d" / f"{prints['gone']}.rev"
        gpg(keyring, "--import", input=file.read_text().replace(":-----BEGIN", "-----BEGIN"))
        yield SimpleNamespace(
            secret=secret, past=past, keyring=str(keyring), empty=str(empty), prints=prints
        )


class TestGnuPG:
    def sign(self, repository, homes, name):
        repository.git("add", "--all")
        home = homes.past if name == "old" else homes.secret
        key = homes.prints[name]
        run(
            "git", "-c", f"user.signingkey={key}", "commit", "-q", "--allow-empty", "-S", "-m", "x",
            cwd=repository.folder, env=with_gpg(home),
        )  # fmt: skip
        return key[-16:]

    def test_a_key_of_the_keyring_counts(self, repository, homes):
        self.sign(repository, homes, "ada")
        verifier(repository, keyring=homes.keyring).head()

    def test_a_key_of_another_keyring_does_not(self, repository, homes, monkeypatch):
        key = self.sign(repository, homes, "ada")
        said = f"is signed with an unknown key, {key}; {ANEW}, or "
        way = f"import it: gpg --homedir {homes.empty} --import FILE"
        assert refusal(repository, keyring=homes.empty) == f"{said}{way}"
        # Not even one that the environment names, or whoever runs this.
        monkeypatch.setenv("GNUPGHOME", homes.keyring)
        assert refusal(repository) == f"{said}name the folder of a keyring: --gpg-home DIR"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("gone", "is signed with a revoked key, {}; {ANEW}"),
            ("old", "is signed with a key that has expired, {}; {ANEW}"),
        ],
    )
    def test_a_key_that_no_longer_counts_is_refused_with_its_reason(
        self, repository, homes, name, said
    ):
        key = self.sign(repository, homes, name)
        assert refusal(repository, keyring=homes.keyring) == said.format(key, ANEW=ANEW)

    def test_another_content_under_a_signature_is_refused(self, repository, homes):
        key = self.sign(repository, homes, "ada")
        forge(repository, old="\n\nx", new="\n\ny")
        said = f"is not what was signed with the key {key}: its signature is bad; {ANEW}"
        assert refusal(repository, keyring=homes.keyring) == said

    def test_a_signature_that_cannot_be_read_is_refused(self, repository, homes):
        self.sign(repository, homes, "ada")
        forge(repository, old="\n iH", new="\n AA")
        said = refusal(repository, keyring=homes.keyring)
        assert said.startswith("has a bad signature (")
        assert said.endswith(f"); {ANEW}")

    def test_a_key_that_is_trusted_too_little_for_the_machine_is_refused(self, repository, homes):
        key = self.sign(repository, homes, "ada")
        repository.git("config", "gpg.minTrustLevel", "fully")
        said = f"is signed with a key that is not trusted enough, {key}; see gpg.minTrustLevel"
        assert refusal(repository, keyring=homes.keyring) == said
