"""Check all answers before a file is written, and report every error at once: the rule, and an answer that passes.

Cookiecutter renders this file and runs it with its own interpreter, so it uses only the standard library and imports no
other file. cruft runs it for every update, so it must stay pure: no git, no network, no clock.
"""

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
    "connect": ("no", "yes"),
}

# The longest prefix that keeps the Key Vault's name, kv-<prefix>-xxxxxx, within Azure's 24 characters. The table of
# all names and limits is src/mlops/naming.py, which a hook can't import.
LONGEST_PREFIX = 14

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

# Names are unquoted in YAML, where these words are not strings; Terraform, with YAML 1.1, reads y and n as booleans.
YAML_VALUES = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

# Import names in the project's environment: a package of the same name would shadow them, or be shadowed.
DEPENDENCIES = set(
    """
    aiohappyeyeballs aiohttp aiosignal alembic altair annotated_doc annotated_types anyio asgiref ast_serialize attr
    attrs azure azureml azureml_inference_server_http blinker cachetools certifi cffi charset_normalizer click
    cloudpickle colorama contourpy cryptography cycler databricks dateutil deprecated docker dotenv fastapi filelock
    fixedint flask flask_cors frozenlist git gitdb google graphene graphql graphql_relay great_expectations gunicorn
    h11 huey hypothesis idna images importlib_metadata inference_schema iniconfig isodate itsdangerous jinja2 joblib
    jsonpickle jsonschema jsonschema_specifications jwt kiwisolver librt local mako markdown_it markupsafe
    marshmallow matplotlib mdurl mistune mlflow mpl_toolkits msal msal_extensions msrest multidict mypy
    mypy_extensions mypyc narwhals numpy oauthlib opentelemetry packaging pandas pathspec pip pkg_resources pluggy
    prettytable propcache psutil py pyarrow pyasn1 pyasn1_modules pycparser pydantic pydantic_core pydantic_settings
    pydash pygments pylab pyparsing pytest pytz referencing requests requests_oauthlib rich rpds ruamel ruff scipy
    setuptools six sklearn skops smmap sortedcontainers sqlalchemy sqlparse starlette strictyaml swagger
    threadpoolctl tqdm typing_extensions typing_inspection tzdata tzlocal urllib3 uvicorn wcwidth werkzeug wheel
    wrapt yaml yarl zipp
    """.split()
)

# Distributions whose name differs from their import name: a project of that name would replace them.
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
    "mlops": "the package of the lifecycle",
    "tests": "the folder of the tests",
}

# ci_cd -> what the repository's host allows, as a pattern and in words.
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

# How the default repository begins; it stands for whoever owns it.
PLACEHOLDER = "ORG/"

# Built from pieces: written out, they would start Jinja tags in this file.
JINJA_TAGS = tuple("{" + second for second in ("{", "%", "#"))


class Problem(NamedTuple):
    """An invalid answer, the rule that it breaks, and an answer that passes, if one is known."""

    question: str
    answer: str
    rule: str
    suggestion: str

    def __str__(self) -> str:
        shown = repr(self.answer) if len(self.answer) <= 60 else repr(self.answer[:60]) + "..."
        fix = f"\n    Try: {self.suggestion}" if self.suggestion else ""
        return f"  {self.question} = {shown}\n    Rule: {self.rule}.{fix}"


def check_project_name(answers: Answers) -> str | None:
    name = answers["project_name"]
    if 2 <= len(name) <= 60 and may_start_name(name[0]) and all(map(may_be_in_name, name)) and name[-1] != " ":
        return None
    return "2 to 60 letters, digits, spaces or any of -_.'&(), starting with a letter or digit, not ending in a space"


def may_start_name(character: str) -> bool:
    """Return whether a character is a letter or decimal digit of any script."""
    return unicodedata.category(character) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}


def may_be_in_name(character: str) -> bool:
    """Return whether a project name may contain a character; many scripts write vowels as combining marks."""
    return character in " -_.'&()" or may_start_name(character) or unicodedata.category(character) in {"Mn", "Mc"}


def check_project_slug(answers: Answers) -> str | None:
    slug = answers["project_slug"]
    if slug in TAKEN_SLUGS:
        return f"not {TAKEN_SLUGS[slug]}"
    if len(slug) <= 50 and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        return None
    return "at most 50 lower-case letters and digits, in words joined by single hyphens, starting with a letter"


def check_package_name(answers: Answers) -> str | None:
    package = answers["package_name"]
    if package in TAKEN_PACKAGES:
        return f"not {TAKEN_PACKAGES[package]}"
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
        return None  # ci_cd itself is reported; the rule depends on its correction
    if answers["connect"] == "yes" and answers["repository"].startswith(PLACEHOLDER):
        return f"to connect, a name of your own before the slash: {PLACEHOLDER[:-1]} only stands for it"
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
    if len(prefix) > LONGEST_PREFIX:
        name = f"kv-{prefix}-xxxxxx"
        return f"at most {LONGEST_PREFIX} characters: the Key Vault {name} would have {len(name)}, Azure allows 24"
    return None


def check_choice(option: str) -> Callable[[Answers], str | None]:
    """Return the check for one option of CHOICES."""

    def check(answers: Answers) -> str | None:
        choices = CHOICES[option]
        return None if answers[option] in choices else "one of " + ", ".join(choices)

    return check


# question -> a function that returns the rule that the answer breaks, or None.
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
    """Return similar answers that might pass, best first; the caller checks them."""
    import difflib  # slow to import, and needed only for a refusal

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
    """Return whether an unrendered answer is the default in cookiecutter.json."""
    return raw == JINJA_TAGS[0] + f" cookiecutter.__{question} " + "}}"


def find_problems(answers: Answers, given: Answers | None = None) -> list[Problem]:
    """Check every answer and return the problems, in the order of the questions.

    Cookiecutter renders answers that were not typed at its prompt; ``given`` holds them as they were before.
    """
    problems = []
    for question, check in CHECKS.items():
        answer = answers[question]
        raw = (given or {}).get(question, answer)
        if is_own_default(question, raw):
            raw = answer
        if any(tag in text for tag in JINJA_TAGS for text in (answer, raw)):
            problems.append(Problem(question, raw, f"no {' or '.join(JINJA_TAGS)}, which start Jinja tags", ""))
        elif rule := check(answers):
            passing = (near for near in candidates(question, answer) if not check({**answers, question: near}))
            problems.append(Problem(question, answer, rule, next(passing, "")))
    return problems


def main(context: dict[str, object], given: dict[str, object]) -> int:
    """Report invalid answers on standard error; return the exit code, 0 if there are none."""
    # In a hand-written replay file, an answer may be a number.
    answers = {question: str(context[question]) for question in CHECKS}
    problems = find_problems(answers, {name: text for name, text in given.items() if isinstance(text, str)})
    if not problems:
        return 0
    count = "1 answer is" if len(problems) == 1 else f"{len(problems)} answers are"
    print(f"\n{count} not valid; nothing was written.\n", file=sys.stderr)
    print(*problems, sep="\n\n", end="\n\n", file=sys.stderr)
    print("The traceback that cookiecutter prints next says no more than this.\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    # Encoded twice: the answers become one Python string literal, whatever quotes or backslashes they contain.
    # _cookiecutter has them unrendered; cruft does not set it.
    ANSWERS = json.loads({{cookiecutter | tojson | tojson}})  # type: ignore[arg-type, name-defined]  # noqa: F821
    GIVEN = json.loads({{_cookiecutter | default({}) | tojson | tojson}})  # type: ignore  # noqa: F821
    sys.exit(main(ANSWERS, GIVEN))
