"""Refuse answers that could not work: all of them at once, each with its rule and a way out, before a file is written.

Cookiecutter renders this file and runs it with its own interpreter, so it uses the standard library only and can import
nothing from its neighbours. cruft runs it for every update, so it must stay pure: no git, no network, no clock.
"""

import hashlib
import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

Answers = dict[str, str]

CHOICES: dict[str, tuple[str, ...]] = {
    "ci_cd": ("github-actions", "azure-pipelines"),
    "serving": ("managed", "aci-aks"),
    "batch_endpoint": ("yes", "no"),
    "monitoring": ("yes", "no"),
    "network": ("public", "private"),
}

ENVIRONMENTS = ("staging", "production")


class AzureName(NamedTuple):
    """How one kind of Azure resource is named from the prefix and the environment, and what Azure allows."""

    resource: str
    pattern: str
    legal: str
    shortest: int
    longest: int


# Lengths and characters: Microsoft's "Naming rules and restrictions for Azure resources".
AZURE_NAMES = (
    AzureName("storage account", "st{prefix}{environment}", r"[a-z0-9]+", 3, 24),
    AzureName("Key Vault", "kv-{prefix}-{environment}", r"[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*", 3, 24),
    AzureName("container registry", "cr{prefix}{environment}", r"[a-zA-Z0-9]+", 5, 50),
    AzureName("online endpoint", "{prefix}-{environment}", r"[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]", 3, 32),
    AzureName("batch endpoint", "{prefix}-{environment}-batch", r"[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]", 3, 32),
    AzureName("Azure ML workspace", "mlw-{prefix}-{environment}", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 33),
    AzureName("AKS cluster", "aks-{prefix}-{environment}", r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?", 1, 63),
    AzureName("Log Analytics workspace", "log-{prefix}-{environment}", r"[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]", 4, 63),
    AzureName("resource group", "rg-{prefix}-{environment}", r"[\w.()-]*[\w()-]", 1, 90),
    AzureName("container group", "ci-{prefix}-{environment}-green", r"[a-z0-9]+(-[a-z0-9]+)*", 1, 63),
    AzureName("virtual network", "vnet-{prefix}-{environment}", r"[a-zA-Z0-9]([\w.-]*\w)?", 2, 64),
    AzureName("user-assigned identity", "id-{prefix}-{environment}", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 128),
    AzureName("identity of CI", "id-{prefix}-{environment}-ci", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 128),
    AzureName("identity of the workspace", "id-{prefix}-{environment}-workspace", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 128),
    AzureName("identity of Terraform", "id-{prefix}-{environment}-terraform", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 128),
    AzureName("identity of the AKS cluster", "id-{prefix}-{environment}-aks", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 128),
    AzureName("identity of the AKS nodes", "id-{prefix}-{environment}-nodes", r"[a-zA-Z0-9][a-zA-Z0-9_-]*", 3, 128),
    AzureName("resource group of the state", "rg-{prefix}-{environment}-state", r"[\w.()-]*[\w()-]", 1, 90),
    AzureName("resource group of the AKS nodes", "rg-{prefix}-{environment}-nodes", r"[\w.()-]*[\w()-]", 1, 80),
    AzureName("storage account of the state", "tf{prefix}{environment}", r"[a-z0-9]+", 3, 24),
    AzureName("Application Insights", "appi-{prefix}-{environment}", r"[\w.()-]*[\w()-]", 1, 255),
    AzureName("action group", "ag-{prefix}-{environment}", r"[\w.()-]*[\w()-]", 1, 260),
    AzureName("budget", "budget-{prefix}-{environment}", r"[a-zA-Z0-9_-]+", 1, 63),
    AzureName("network security group", "nsg-{prefix}-{environment}", r"[a-zA-Z0-9]([\w.-]*\w)?", 1, 80),
    AzureName("NAT gateway", "ng-{prefix}-{environment}", r"[a-zA-Z0-9]([\w.-]*\w)?", 1, 80),
    AzureName("public address", "pip-{prefix}-{environment}", r"[a-zA-Z0-9]([\w.-]*\w)?", 1, 80),
    AzureName("network interface", "nic-{prefix}-{environment}", r"[a-zA-Z0-9]([\w.-]*\w)?", 1, 80),
    AzureName("virtual machine", "vm-{prefix}-{environment}", r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", 1, 64),
    AzureName("private endpoint", "pe-{prefix}-{environment}-staging-workspace", r"[a-zA-Z0-9]([\w.-]*\w)?", 2, 64),
)

AZURE_REGIONS = tuple(
    """
    australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral brazilsouth
    brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral denmarkeast eastasia eastus eastus2
    francecentral francesouth germanynorth germanywestcentral indiasouthcentral indonesiacentral israelcentral
    italynorth japaneast japanwest jioindiacentral jioindiawest koreacentral koreasouth malaysiawest mexicocentral
    newzealandnorth northcentralus northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth
    southafricawest southcentralus southeastasia southindia spaincentral swedencentral swedensouth switzerlandnorth
    switzerlandwest uaecentral uaenorth uksouth ukwest westcentralus westeurope westindia westus westus2 westus3
    """.split()
)

WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}

# Names stand unquoted in YAML, where these words are no strings: to Terraform, which reads YAML 1.1, y and n neither.
YAML_VALUES = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

# Import names in the project's environment: a package of the same name would hide them, or be hidden.
DEPENDENCIES = set(
    """
    aiohappyeyeballs aiohttp aiosignal alembic altair annotated_doc annotated_types anyio asgiref ast_serialize attr
    attrs azure azureml azureml_inference_server_http blinker cachetools certifi cffi charset_normalizer click
    cloudpickle colorama contourpy cryptography cycler databricks dateutil deprecated docker dotenv fairlearn fastapi
    fixedint flask flask_cors frozenlist git gitdb google graphene graphql graphql_relay great_expectations gunicorn h11
    huey hypothesis idna images importlib_metadata inference_schema iniconfig isodate itsdangerous jinja2 joblib
    jsonpickle jsonschema jsonschema_specifications jwt kiwisolver librt local mako markdown_it markupsafe marshmallow
    matplotlib mdurl mistune mlflow mpl_toolkits msal msal_extensions msrest multidict mypy mypy_extensions mypyc
    narwhals numpy oauthlib opentelemetry packaging pandas pathspec pip pkg_resources pluggy prettytable propcache
    psutil py pyarrow pyasn1 pyasn1_modules pycparser pydantic pydantic_core pydantic_settings pydash pygments pylab
    pyparsing pytest pytz referencing requests requests_oauthlib rich rpds ruamel ruff scipy setuptools six sklearn
    skops smmap sqlalchemy sqlparse starlette strictyaml swagger threadpoolctl tqdm typing_extensions typing_inspection
    tzdata tzlocal urllib3 uvicorn wcwidth werkzeug wheel wrapt yaml yarl zipp
    """.split()
)

# Those that are installed under another name: a project of that name would replace them.
DISTRIBUTIONS = set(
    """
    azure-ai-ml azure-common azure-core azure-core-tracing-opentelemetry azure-identity azure-mgmt-core
    azure-monitor-opentelemetry azure-monitor-opentelemetry-exporter azure-storage-blob azure-storage-file-datalake
    azure-storage-file-share azureml-ai-monitoring azureml-mlflow databricks-sdk fonttools gitpython google-auth
    graphql-core markdown-it-py mlflow-skinny mlflow-tracing opentelemetry-api opentelemetry-instrumentation
    opentelemetry-instrumentation-asgi opentelemetry-instrumentation-dbapi opentelemetry-instrumentation-django
    opentelemetry-instrumentation-fastapi opentelemetry-instrumentation-flask opentelemetry-instrumentation-psycopg2
    opentelemetry-instrumentation-requests opentelemetry-instrumentation-urllib opentelemetry-instrumentation-urllib3
    opentelemetry-instrumentation-wsgi opentelemetry-proto opentelemetry-resource-detector-azure opentelemetry-sdk
    opentelemetry-semantic-conventions opentelemetry-util-http pandas-stubs pillow protobuf pyjwt python-dateutil
    python-dotenv pyyaml rpds-py ruamel-yaml scikit-learn types-psutil types-pytz types-pyyaml
    """.split()
)

TAKEN_SLUGS = {
    **dict.fromkeys((name.replace("_", "-") for name in DEPENDENCIES), "the name of a dependency"),
    **dict.fromkeys(DISTRIBUTIONS, "the name of a dependency"),
    **dict.fromkeys(WINDOWS_DEVICES, "a device name on Windows"),
    **dict.fromkeys(YAML_VALUES, "a value in YAML"),
}

TAKEN_PACKAGES = {
    **dict.fromkeys(DEPENDENCIES, "the import name of a dependency"),
    **dict.fromkeys(sys.stdlib_module_names, "a module of Python's standard library"),
    **dict.fromkeys((*keyword.kwlist, *keyword.softkwlist), "a Python keyword"),
    **dict.fromkeys(WINDOWS_DEVICES, "a device name on Windows"),
    **dict.fromkeys(YAML_VALUES, "a value in YAML"),
    "mlops": "the package of this template's lifecycle",
    "tests": "the folder of the tests",
}

# ci_cd -> what the host of the repository allows, and the same in words.
REPOSITORY_RULES = {
    "github-actions": (
        r"(?=[^/]{1,39}/)[A-Za-z0-9]+(-[A-Za-z0-9]+)*/(?!\.\.?$)(?!.*\.git$)[A-Za-z0-9._-]{1,100}",
        (
            "owner/name as on GitHub: the owner is 1 to 39 letters, digits or single inner hyphens, the name 1 to 100 "
            "letters, digits, '.', '-' or '_', not '.' or '..', not ending in '.git'"
        ),
    ),
    "azure-pipelines": (
        r"[A-Za-z0-9][\w .-]{0,63}(?<![ .])/[A-Za-z0-9][\w .-]{0,63}(?<![ .])",
        (
            "project/repository as on Azure DevOps: each 1 to 64 letters, digits, spaces, '.', '-' or '_', starting "
            "with a letter or digit and not ending in a space or '.'"
        ),
    ),
}

# Built from pieces: written out, they would start Jinja tags in this very file.
JINJA_TAGS = tuple("{" + second for second in ("{", "%", "#"))
# The derived defaults of cookiecutter.json hold such tags. By the start of their SHA-256: written out, they would be
# filled in by this file's own rendering.
OWN_DEFAULTS = {
    "project_slug": "bd36746acd86c785",
    "package_name": "5868b7e2c03e02a0",
    "description": "a9da71ced356f771",
    "repository": "50d7793c9a13f64c",
    "azure_prefix": "6fccb0782e3011d1",
}


class Problem(NamedTuple):
    """One answer that can't stay: the rule it breaks, and an answer that would pass where one is known."""

    question: str
    answer: str
    rule: str
    suggestion: str

    def __str__(self) -> str:
        shown = repr(self.answer) if len(self.answer) <= 60 else repr(self.answer[:60]) + "..."
        mend = f"\n    Try: {self.suggestion}" if self.suggestion else ""
        return f"  {self.question} = {shown}\n    Rule: {self.rule}.{mend}"


def check_project_name(answers: Answers) -> str | None:
    name = answers["project_name"]
    if 2 <= len(name) <= 60 and may_start_name(name[0]) and all(map(may_be_in_name, name)) and name[-1] != " ":
        return None
    return "2 to 60 letters, digits, spaces or any of -_.'&(), starting with a letter or digit, not ending in a space"


def may_start_name(character: str) -> bool:
    """Tell whether it is a letter or a decimal digit of any script."""
    return unicodedata.category(character) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}


def may_be_in_name(character: str) -> bool:
    """Tell whether a project name may hold it: many scripts write vowels as marks on the letter before."""
    return character in " -_.'&()" or may_start_name(character) or unicodedata.category(character) in {"Mn", "Mc"}


def check_project_slug(answers: Answers) -> str | None:
    slug = answers["project_slug"]
    if slug in TAKEN_SLUGS:
        return f"a name of its own: this one is {TAKEN_SLUGS[slug]}"
    if len(slug) <= 50 and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        return None
    return "at most 50 lower-case letters and digits, in words joined by single hyphens, starting with a letter"


def check_package_name(answers: Answers) -> str | None:
    package = answers["package_name"]
    if package in TAKEN_PACKAGES:
        return f"a name of its own: this one is {TAKEN_PACKAGES[package]}"
    if re.fullmatch(r"[a-z][a-z0-9_]{0,39}", package):
        return None
    return "at most 40 lower-case letters, digits and underscores, starting with a letter"


def check_description(answers: Answers) -> str | None:
    description = answers["description"]
    if 1 <= len(description) <= 200 and description.isprintable() and description == description.strip():
        return None
    return "one line of 1 to 200 printable characters, with no space at either end"


def check_repository(answers: Answers) -> str | None:
    if answers["ci_cd"] not in REPOSITORY_RULES:
        return None  # ci_cd is reported itself; which rule holds here depends on its mending
    legal, rule = REPOSITORY_RULES[answers["ci_cd"]]
    return None if re.fullmatch(legal, answers["repository"], re.ASCII) else rule


def check_azure_region(answers: Answers) -> str | None:
    if answers["azure_region"] in AZURE_REGIONS:
        return None
    return "the short name of a public Azure region, such as westeurope ('az account list-locations' lists them)"


def check_azure_prefix(answers: Answers) -> str | None:
    prefix = answers["azure_prefix"]
    if not re.fullmatch(r"[a-z][a-z0-9]*", prefix) or prefix in YAML_VALUES:
        return "lower-case letters and digits, starting with a letter, and not a value in YAML"
    for resource, pattern, legal, shortest, longest in AZURE_NAMES:
        for environment in ENVIRONMENTS:
            name = pattern.format(prefix=prefix, environment=environment)
            if not shortest <= len(name) <= longest:
                return (
                    f"short enough for every Azure name made from it: the {resource} {name} would have {len(name)} "
                    f"characters, Azure allows {shortest} to {longest}"
                )
            if not re.fullmatch(legal, name):
                return f"legal in every Azure name made from it: Azure does not allow the {resource} {name}"
    return None


def check_choice(option: str) -> Callable[[Answers], str | None]:
    """Return the check of one option of CHOICES."""

    def check(answers: Answers) -> str | None:
        choices = CHOICES[option]
        return None if answers[option] in choices else "one of " + ", ".join(choices)

    return check


# question -> the rule that its answer breaks, as words that follow "Rule:", or None.
CHECKS: dict[str, Callable[[Answers], str | None]] = {
    "project_name": check_project_name,
    "project_slug": check_project_slug,
    "package_name": check_package_name,
    "description": check_description,
    "repository": check_repository,
    "azure_region": check_azure_region,
    "azure_prefix": check_azure_prefix,
    **{option: check_choice(option) for option in CHOICES},
}


def candidates(question: str, answer: str) -> list[str]:
    """Return answers near the given one that might pass, best first; the caller checks them."""
    import difflib  # only a refusal needs it, and imports are most of the time that a hook takes

    plain = unicodedata.normalize("NFKD", answer).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain.lstrip("0123456789-_ "))
    match question:
        case "project_name":
            kept = "".join(c if may_be_in_name(c) else " " for c in answer)
            return [" ".join(kept.split()).lstrip("-_.'&() ")[:60].rstrip()]
        case "project_slug":
            slug = "-".join(words)[:50].rstrip("-")
            return [slug, f"{slug}-project"]
        case "package_name":
            package = "_".join(words)[:40].rstrip("_")
            return [package, f"{package}_model"]
        case "description":
            return [" ".join("".join(c if c.isprintable() else " " for c in answer).split())[:200].rstrip()]
        case "repository":
            parts = re.split(r"[/:]", answer.strip().rstrip("/").removesuffix(".git"))
            return ["/".join(parts[-2:])]
        case "azure_region":
            return difflib.get_close_matches("".join(words), AZURE_REGIONS, n=1)
        case "azure_prefix":
            prefix = "".join(words)
            return [prefix[:length] for length in range(len(prefix), 0, -1)]
        case _:
            return difflib.get_close_matches(plain, CHOICES[question], n=1, cutoff=0.4)


def is_own_default(question: str, raw: str) -> bool:
    """Tell whether an answer that was not rendered yet is the template's own default."""
    return hashlib.sha256(raw.encode()).hexdigest()[:16] == OWN_DEFAULTS.get(question)


def find_problems(answers: Answers, given: Answers | None = None) -> list[Problem]:
    """Check every answer by its rule and return what is wrong, in the order of the questions.

    Cookiecutter renders an answer that is not typed at its prompt as a template of its own; ``given`` holds the answers
    before that, where they are known.
    """
    problems = []
    for question, check in CHECKS.items():
        answer = answers[question]
        raw = (given or {}).get(question, answer)
        if any(tag in text for tag in JINJA_TAGS for text in (answer, raw)) and not is_own_default(question, raw):
            problems.append(Problem(question, raw, f"no {' or '.join(JINJA_TAGS)}, which start Jinja tags", ""))
        elif rule := check(answers):
            passing = (near for near in candidates(question, answer) if not check({**answers, question: near}))
            problems.append(Problem(question, answer, rule, next(passing, "")))
    return problems


def main(context: dict[str, object], given: dict[str, object]) -> int:
    """Report what is wrong with the answers on standard error; return the exit code, 0 if nothing is."""
    # In a replay file, which people write by hand, an answer may be a number.
    answers = {question: str(context[question]) for question in CHECKS}
    problems = find_problems(answers, {name: text for name, text in given.items() if isinstance(text, str)})
    if not problems:
        return 0
    count = "An answer" if len(problems) == 1 else f"{len(problems)} answers"
    print(f"\n{count} can't be used; nothing was written.\n", file=sys.stderr)
    print(*problems, sep="\n\n", end="\n\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    # Encoded twice: the answers become one Python string literal, whatever quotes or backslashes they hold. Those that
    # were not yet rendered are in _cookiecutter, which cruft does not have.
    ANSWERS = json.loads({{cookiecutter | tojson | tojson}})  # type: ignore[arg-type, name-defined]  # noqa: F821
    GIVEN = json.loads({{_cookiecutter | default({}) | tojson | tojson}})  # type: ignore  # noqa: F821
    sys.exit(main(ANSWERS, GIVEN))
