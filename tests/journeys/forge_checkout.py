"""A clone of a remote, a forge beside it, and jobs that run in it."""

import json
import os

from tests.servers.forge import TOKEN


def merge_into_main(shop, branch, how):
    """Merge a branch as a forge does; gives the commit of main."""
    shop.git("checkout", "-q", "main")
    if how == "squash":
        shop.git("merge", "-q", "--squash", branch)
        shop.git("commit", "-q", "-m", f"{branch} (#5)")
    elif how == "rebase":
        shop.git("cherry-pick", f"main..{branch}")
    else:
        shop.git("merge", "-q", "--no-ff", "-m", f"Merge {branch}", branch)
    return shop.git("rev-parse", "main").strip()


class Jobs:
    """Runs ``reconciler ci`` as a job of GitHub or GitLab does."""

    def __init__(self, shop, server, folder, monkeypatch):
        self.shop, self.server, self.folder, self._patch = shop, server, folder, monkeypatch
        self.summary, self.outputs = folder / "summary.md", folder / "outputs"
        for name in list(os.environ):
            if name.startswith(("GITHUB_", "GITLAB_", "CI_", "GH_")):
                monkeypatch.delenv(name)

    def github(self, event, *, token=TOKEN, branch="main"):
        path = self.folder / "event.json"
        path.write_text(json.dumps(event))
        self.summary.write_text("")
        self.outputs.write_text("")
        self._set(
            GITHUB_ACTIONS="true",
            GITHUB_API_URL=self.server.url,
            GITHUB_SERVER_URL="https://github.example",
            GITHUB_REPOSITORY="acme/shop",
            GITHUB_RUN_ID="42",
            GITHUB_EVENT_PATH=str(path),
            GITHUB_REF_NAME=branch,
            GITHUB_STEP_SUMMARY=str(self.summary),
            GITHUB_OUTPUT=str(self.outputs),
            GITHUB_TOKEN=token,
        )

    def gitlab(self, **variables):
        self._set(
            GITLAB_CI="true",
            CI_API_V4_URL=f"{self.server.url}/api/v4",
            CI_PROJECT_ID="7",
            CI_JOB_URL="https://gitlab.example/acme/shop/-/jobs/9",
            GITLAB_TOKEN=TOKEN,
            **variables,
        )

    def _set(self, **variables):
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def head(self):
        return self.shop.git("rev-parse", "HEAD").strip()

    def pull_event(self, number=5, source="acme/shop"):
        """What GitHub tells a job of a pull request whose head is checked out."""
        base = self.shop.git("rev-parse", "main").strip()
        return {
            "pull_request": {
                "number": number,
                "head": {"sha": self.head(), "repo": source and {"full_name": source}},
                "base": {"sha": base},
            }
        }

    def plan(self, *words, number=5, source="acme/shop"):
        """Plan the request whose head is checked out, with a comment."""
        self.github(self.pull_event(number, source))
        return self.shop("ci", "plan", *NOW, "--out", str(self.folder / "out"), "--comment", *words)

    def apply(self, *words):
        """Apply what is checked out, as pushed to main."""
        self.github({"ref": "refs/heads/main"})
        return self.shop("ci", "apply", *NOW, "--out", str(self.folder / "out"), *words)

    def output(self):
        return dict(line.split("=", 1) for line in self.outputs.read_text().splitlines())


NOW = ("--now", "2090-03-01T12:00:00Z")


def edit_on_branch(shop, branch="more", old="512", new="1024"):
    shop.git("checkout", "-q", "-b", branch)
    shop.edit("schedules/nightly.yml", old, new)
    shop.commit(f"{branch}: {new}")
    return shop.git("rev-parse", "HEAD").strip()
