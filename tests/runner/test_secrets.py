import pytest

from reconciler.errors import ExecutorError, InvalidValue
from reconciler.live import Owner
from reconciler.runner.secrets import Secret, Secrets
from tests.site import minutely, site

CANARY = "canary-7f3a"
OWNER = Owner("risk", "prod")


def refused(secret, owner=OWNER):
    with pytest.raises(ExecutorError) as caught:
        Secrets({"TOKEN": secret}).value("TOKEN", owner)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_a_secret_comes_from_the_environment_a_file_or_a_command(monkeypatch, tmp_path):
    monkeypatch.setenv("PLACE", CANARY)
    (tmp_path / "file").write_text(f"{CANARY}\n")
    places = (
        Secret(env="PLACE"),
        Secret(file=str(tmp_path / "file")),
        Secret(command=("echo", CANARY)),
    )
    for secret in places:
        assert Secrets({"TOKEN": secret}).value("TOKEN", None) == CANARY


@pytest.mark.parametrize("fields", [{}, {"env": "A", "file": "b"}])
def test_a_secret_is_in_exactly_one_place(fields):
    with pytest.raises(InvalidValue, match="exactly one of env, file and command"):
        Secret(**fields)


def test_a_secret_is_only_for_whom_it_is_declared():
    secret = Secret(command=("echo", CANARY), projects=("risk/prod",))
    assert Secrets({"TOKEN": secret}).value("TOKEN", OWNER) == CANARY
    assert refused(secret, Owner("risk", "dev")) == "secret TOKEN is not for risk/dev"
    assert refused(secret, None) == "secret TOKEN is not for objects without a project"


def test_what_is_not_there_is_said_without_what_it_would_have_been(monkeypatch, tmp_path):
    monkeypatch.delenv("NOWHERE", raising=False)
    assert refused(Secret(env="NOWHERE")).endswith("environment has no NOWHERE")
    assert refused(Secret(file=str(tmp_path / "x"))).endswith("No such file or directory")
    (tmp_path / "binary").write_bytes(b"\xff" + CANARY.encode())
    assert refused(Secret(file=str(tmp_path / "binary"))).endswith("it is not UTF-8")
    printing = ("sh", "-c", f"echo {CANARY}; echo {CANARY} >&2; exit 1")
    assert refused(Secret(command=printing)) == "secret TOKEN: the command sh failed"
    assert refused(Secret(command=("no-such-program",))).endswith("no-such-program failed")


def test_a_secret_reaches_its_step_and_nothing_else(tmp_path):
    with site(tmp_path, secrets={"TOKEN": Secret(command=("echo", CANARY))}) as place:
        place.apply(
            a="""
            kind: Pipeline
            name: hello
            steps:
              - name: say
                command: [sh, -c, 'test "$T" = "<canary-$TAIL>"']
                env: {T: "<${{ secret.TOKEN }}>", TAIL: 7f3a}
            """,
            b=minutely(),
        )
        place.forward(60)
        (run,) = place.finish()
        assert run.state == "Finished", run.reason
        for file in tmp_path.rglob("*"):
            if file.is_file() and file.suffix != ".yml":
                assert CANARY.encode() not in file.read_bytes(), file
