"""What the double of GitHub knows: one repository with its settings, the tokens, and every call."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey

from doubles.github_faults import Fault

LEVELS = ("none", "read", "write")
ROLES = ("none", "read", "write", "admin")
SCOPES = ("gist", "read:org", "repo", "workflow")  # those of `gh auth login`
TIME = "2026-12-01T00:00:00Z"
Reply = tuple[int, Any]


@dataclass(frozen=True)
class Token:
    """A job's token, or a person's: whose it is, and what it may do.

    Attributes
    ----------
    permissions :
        Those of a job, or of a person's fine-grained token.
    login :
        The person whom it stands for.
    scopes :
        Those of a person's classic token; None for all others.
    """

    job: str
    permissions: Mapping[str, str]
    login: str = ""
    scopes: tuple[str, ...] | None = None

    @property
    def who(self) -> str:
        return self.job or self.login

    def may(self, *needed: tuple[str, str]) -> bool:
        """Return whether one of the rights is enough."""
        return any(LEVELS.index(self.permissions.get(name, "none")) >= LEVELS.index(level) for name, level in needed)


@dataclass
class Environment:
    """An environment's settings: who reviews, which branches may deploy, its variables and its secrets.

    Attributes
    ----------
    reviewers :
        Logins, or ORGANIZATION/TEAM.
    branches :
        Patterns of branches; None for all.
    """

    reviewers: tuple[str, ...] = ()
    branches: tuple[str, ...] | None = ("main",)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    decision: tuple[str, str] | None = None  # who decides about a waiting run, and how: approved or rejected
    meanwhile: Callable[[], None] | None = None  # what happens while a run waits
    wait_minutes: int = 0
    prevent_self_review: bool = True
    can_admins_bypass: bool = True
    protected_branches: bool = False  # only branches that are protected may deploy


@dataclass(frozen=True)
class Account:
    """A user, or an organization with the ids of its teams."""

    login: str
    id: int
    type: str = "User"
    teams: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Repository:
    """The repository; ``roles`` has its collaborators' logins, each with one of ROLES."""

    owner: Account
    name: str
    id: int = 7001
    private: bool = True
    default_branch: str = "main"
    roles: dict[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"


@dataclass
class Run:
    """A run of a workflow; ``pending`` has the environments for which it waits."""

    id: int
    workflow: str
    branch: str
    actor: str
    status: str = "queued"
    conclusion: str | None = None
    pending: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """A recorded call: the token's job or person, the request and the answer's status, 0 without an answer."""

    job: str  # "" for a person
    method: str
    path: str
    status: int
    body: Any
    who: str = ""
    host: str = ""


@dataclass(frozen=True)
class Request:
    """A request to answer."""

    method: str
    path: str
    query: Mapping[str, str]
    content: Any
    token: Token
    host: str

    @property
    def server(self) -> str:
        """Return the address of the pages of this server."""
        return f"https://{'github.com' if self.host == 'api.github.com' else self.host.removeprefix('api.')}"


@dataclass
class Store:
    """Everything that GitHub knows.

    Attributes
    ----------
    plan :
        The owner's: free, pro (also Team), or enterprise.
    actions :
        The settings of Actions, by their path below actions/permissions.
    forbidden :
        The settings of Actions that an organization does not let the repository change.
    subject :
        The customization of tokens' subjects; None where GitHub answers 404.
    immutable :
        Whether subjects have ids without opting in, as of repositories created since July 15, 2026.
    keeps_refused :
        Whether an environment exists although the plan refused its rules (terraform-provider-github#1311).
    folder :
        Where bare repositories are made, as OWNER/NAME.git; None for nowhere.
    on_dispatch :
        Runs a dispatched workflow, in a thread of its own.
    after_call :
        What happens after each recorded call, before its answer is sent.
    """

    environments: dict[str, Environment] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    approvals: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by run
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    dispatches: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)  # by id
    calls: list[Call] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str]] | None] = field(default_factory=list)  # the next answers; None: the real
    planted: list[Fault] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    repository: Repository | None = None
    plan: str = "enterprise"
    variables: dict[str, str] = field(default_factory=dict)  # the repository's
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    subject: dict[str, Any] | None = field(default_factory=lambda: {"use_default": True})
    immutable: bool = True
    keeps_refused: bool = False
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    folder: Path | None = None
    on_dispatch: Callable[[Run], None] | None = None
    after_call: Callable[[Call], None] | None = None
    key: PrivateKey = field(default_factory=PrivateKey.generate, repr=False)
    numbers: list[str] = field(default_factory=list)  # what has an id
    url: str = ""
    socket: str = ""

    def person(self, login: str, scopes: tuple[str, ...] | None = SCOPES, **permissions: str) -> str:
        """Make a token for a user, which has its login as its text; without scopes, it is fine-grained."""
        self.tokens[login] = Token("", permissions, login, scopes)
        return login

    def account(self, login: str) -> Account | None:
        """Find a user or an organization, in any case."""
        return next((one for one in self.accounts if one.login.lower() == login.lower()), None)

    def team(self, name: str) -> int | None:
        """Return the id of ORGANIZATION/TEAM."""
        organization, _, slug = name.partition("/")
        found = self.account(organization)
        return found.teams.get(slug) if found else None

    def create(self, owner: str, name: str, admin: str, private: bool = True) -> Repository:
        """Create the repository, and its bare repository on disk."""
        account = self.account(owner)
        assert account, f"unknown: {owner}"
        assert self.repository is None, "the double has one repository"
        self.repository = Repository(account, name, private=private, roles={admin: "admin"})
        if self.folder:
            command = ("git", "init", "--quiet", "--bare", "--initial-branch", self.repository.default_branch)
            subprocess.run([*command, str(self.folder / f"{account.login}/{name}.git")], check=True)
        return self.repository

    @property
    def existing(self) -> Repository:
        """Return the repository, of which the server has checked that it exists."""
        assert self.repository
        return self.repository

    def has(self, plan: str) -> bool:
        """Return whether the repository has a plan's features: those of every plan if it is public."""
        plans = ("free", "pro", "enterprise")
        return not self.existing.private or plans.index(self.plan) >= plans.index(plan)

    def number(self, name: str) -> int:
        """Return the id of something, the same each time."""
        if name not in self.numbers:
            self.numbers.append(name)
        return 101 + self.numbers.index(name)

    def subject_prefix(self) -> str | None:
        """Return how subjects with ids begin; None for the classic form.

        Source: Azure/azure-dev#9382; "OpenID Connect reference", docs.github.com.
        """
        found = self.existing
        if not (self.immutable or (self.subject or {}).get("use_immutable_subject")):
            return None
        return f"repo:{found.owner.login}@{found.owner.id}/{found.name}@{found.id}"


@dataclass(frozen=True)
class Route:
    """One kind of request.

    Attributes
    ----------
    rights :
        The permissions of which its token must have one; any token will do without.
    scope :
        What a classic token needs.
    """

    method: str
    pattern: str
    rights: tuple[tuple[str, str], ...]
    answer: Callable[..., Reply]
    scope: str = "repo"
    is_open: bool = False  # no token is needed

    @property
    def role(self) -> str:
        """Return the role in the repository that a person needs."""
        levels = dict(self.rights)
        if levels.get("administration") == "write":
            return "admin"
        return "write" if "write" in levels.values() else "read"


def refuse(status: int, message: str, *errors: Any) -> Reply:
    """Return a refusal in GitHub's shape ("Troubleshooting the REST API")."""
    content = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return status, {**content, "errors": list(errors)} if errors else content


def not_found() -> Reply:
    return refuse(404, "Not Found")


def page(items: list[Any], query: Mapping[str, str], size: int = 30, most: int = 100) -> list[Any]:
    """Return a page of a list; OpenAPI's defaults are 30 of at most 100, and 10 of at most 30 for variables."""
    size, number = min(int(query.get("per_page", size)), most), int(query.get("page", "1"))
    return items[size * (number - 1) : size * number]


IN = r"/repos/[^/]+/[^/]+"
