"""The project's own git repository: its pristine first commit, its remote, and pushes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops.connect.programs import Done, must, run
from mlops.connect.steps import Change, Limit
from mlops.errors import MlopsError

BRANCH: Final = "main"
LOCKS: Final = ("infra/.terraform.lock.hcl", "infra/bootstrap/.terraform.lock.hcl")
# As GitHub and Azure DevOps say it.
PROTECTED: Final = "rule violations|protected branch|TF402455"


@dataclass(frozen=True)
class LocalGit:
    """Git in a project's folder.

    Attributes
    ----------
    settings :
        Settings for the commands that talk to the platform, such as how to log in.
    secrets :
        Returns variables for the same commands: other users can see arguments.
    """

    root: Path
    settings: tuple[str, ...] = ()
    secrets: Callable[[], Mapping[str, str]] = dict

    def look(self) -> list[Change]:
        """Return what is left to do until there is a first commit."""
        changes = []
        if not (self.root / ".git").exists():
            changes.append(Change(f"git init, branch {BRANCH}", self._init))
        if not self.head():
            text = "commit the files as rendered: template updates need that commit"
            changes.append(Change(text, lambda: self.commit("Render mlops-template", ".")))
        elif self.branch() != BRANCH:
            raise MlopsError(
                f"The current branch is {self.branch()}, and the workflows run on {BRANCH}.",
                f"git switch {BRANCH}, or rename it: git branch -m {BRANCH}",
            )
        return changes

    def look_at_remote(self, url: str, exists: bool) -> list[Change]:
        """Return what is left to do until the remote has the branch.

        Parameters
        ----------
        url : str
            The remote's address, if the project has none yet.
        exists : bool
            Whether the platform has the repository.

        Raises
        ------
        MlopsError
            The remote has commits that this project does not have.
        """
        head = self.head()
        push = Change(f"git push origin {BRANCH}", self._push)
        if not self.remote():
            add = Change(f"git remote add origin {url}", lambda: self._add_remote(url))
            return [add, Change(push.text, lambda: self._push_what_is_left(url))]
        if not exists or not head:
            return [push]
        listed = self._call_remote("ls-remote", "origin", f"refs/heads/{BRANCH}")
        fix = "Check that you may read it: git ls-remote origin"
        there = must(listed, f"git cannot read {self.remote()}", fix).split()
        if there and there[0] == head:
            return []
        if there and self._call("merge-base", "--is-ancestor", there[0], head).code:
            raise MlopsError(
                f"{self.remote()} has other content: its {BRANCH} is at {there[0][:9]}, which "
                "this project does not have. Nothing was pushed.",
                f"If it is this project's, run `git pull --rebase origin {BRANCH}`; otherwise set "
                "another `repository` in project.yml, and run `git remote remove origin`.",
            )
        return [push]

    def look_at_locks(self) -> list[Change]:
        """Return what is left to do until the provider's versions are committed and pushed.

        Terraform writes them. Without them, a plan and its apply may get different providers.
        """
        left = [name for name in LOCKS if (self.root / name).exists() and self.is_changed(name)]
        if not left:
            return []
        text = f"commit and push {' and '.join(left)}"
        return [Change(text, lambda: self._commit_locks(left))]

    def _commit_locks(self, names: list[str]) -> None:
        self.commit("Keep the versions of Terraform's provider", *names)
        try:
            self._push()
        except MlopsError as error:
            fix = "Push another branch, and open a pull request: the branch is protected."
            raise Limit(str(error), fix) from error

    def commit(self, message: str, *paths: str) -> None:
        """Commit some files or folders."""
        must(self._call("add", *paths), "git cannot add the files", "Fix what git says.")
        # Hooks of the project's linters may not be installed yet.
        done = self._call("commit", "--quiet", "--no-verify", "-m", message, "--", *paths)
        fix = "Fix what git says."
        if "tell me who you are" in done.errors or "empty ident" in done.errors:
            fix = (
                'git config --global user.name "YOUR NAME"; git config --global user.email ADDRESS'
            )
        must(done, "git cannot commit", fix)

    def is_changed(self, path: str) -> bool:
        """Return whether a file differs from the last commit, or is not in it."""
        return bool(self._call("status", "--porcelain", "--", path).output.strip())

    def head(self) -> str:
        """Return the last commit, "" before the first."""
        done = self._call("rev-parse", "--verify", "--quiet", "HEAD")
        return done.output.strip() if (self.root / ".git").exists() else ""

    def branch(self) -> str:
        return self._call("symbolic-ref", "--short", "HEAD").output.strip() or "none"

    def remote(self) -> str:
        if not (self.root / ".git").exists():
            return ""
        return self._call("config", "--get", "remote.origin.url").output.strip()

    def _init(self) -> None:
        done = self._call("init", "--quiet", f"--initial-branch={BRANCH}")
        must(done, "git cannot make a repository here", "Fix what git says.")

    def _add_remote(self, url: str) -> None:
        done = self._call("remote", "add", "origin", url)
        must(done, "git cannot add the remote origin", "Fix what git says.")

    def _push_what_is_left(self, url: str) -> None:
        """Push to a remote that was not known before, after a look at it."""
        for change in self.look_at_remote(url, exists=True):
            change.act()

    def _push(self) -> None:
        done = self._call_remote("push", "--quiet", "-u", "origin", BRANCH)
        fix = f"Fix what git says, then run it again: git push -u origin {BRANCH}"
        if "workflow" in done.errors and "scope" in done.errors:
            fix = "gh auth refresh --scopes workflow"
        elif re.search(PROTECTED, done.errors):
            fix = f"{BRANCH} is protected: push another branch, and open a pull request."
        must(done, f"git cannot push to {self.remote()}", fix)

    def _call_remote(self, *words: str) -> Done:
        return run("git", *self.settings, *words, folder=self.root, variables=self.secrets())

    def _call(self, *words: str) -> Done:
        return run("git", *words, folder=self.root)
