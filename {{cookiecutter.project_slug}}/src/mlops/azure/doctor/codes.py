"""The code of each finding: what users look up, ignore and filter by. Codes are never reused."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Code(NamedTuple):
    """One row of the table; `docs/doctor.md` has a section for each."""

    code: str
    severity: Severity  # a warning never fails the command
    title: str
    explanation: str


TABLE = (
    # any file
    Code("AZ001", "error", "Unreadable file", "The file is not valid YAML, or has no fields."),
    Code("AZ002", "error", "Duplicated field", "A field is duplicated; YAML keeps the last one."),
    Code("AZ003", "error", "Unknown schema", "No command of mlops reads files of this `$schema`."),
    Code("AZ004", "error", "Rejected by Azure ML", "Azure ML's own validation rejects the file."),
    Code("AZ005", "error", "Invalid name", "The name is missing, or Azure does not accept it."),
    Code("AZ006", "error", "Duplicated name", "Two files of the same kind have the same name."),
    Code("AZ007", "error", "Invalid value", "Azure does not accept the value of this field."),
    Code("AZ008", "error", "Missing path", "The field refers to a path that does not exist."),
    Code("AZ009", "error", "Not uploaded", "A file is missing or is excluded by `.amlignore`."),
    # references
    Code("AZ010", "error", "Invalid reference", "A reference is `azureml:NAME` and a version."),
    Code("AZ011", "error", "Undefined reference", "No file of `azureml/` defines that name."),
    Code("AZ012", "error", "No compute", "A step has no compute, and the pipeline no default."),
    Code("AZ013", "error", "No version", "The reference needs `:VERSION` or `@latest`."),
    Code("AZ014", "error", "Model not pinned", "A deployment serves one exact model version."),
    # components and pipelines
    Code("AZ020", "error", "Undeclared in command", "The command uses an undeclared field."),
    Code("AZ021", "error", "Unused input or output", "An input or output is declared, but unused."),
    Code("AZ022", "error", "Optional input", "The command requires an input that is optional."),
    Code("AZ023", "error", "Invalid command", "The command line would fail when it is parsed."),
    Code("AZ024", "error", "Wrong value", "A value does not match the input's type or range."),
    Code("AZ025", "error", "Unknown input or output", "A step or search uses an undeclared name."),
    Code("AZ026", "error", "Missing input", "A step gives no value for a required input."),
    Code("AZ027", "error", "Invalid binding", "The `${{...}}` names no input or job output."),
    Code("AZ028", "error", "Type mismatch", "An input is bound to a value of another type."),
    Code("AZ029", "error", "Circular steps", "Steps wait for each other and never start."),
    Code("AZ030", "error", "Unknown setting", "Pipelines do not have this setting."),
    Code("AZ031", "error", "Invalid sweep", "The objective or the limits cannot work."),
    # assets, endpoints and schedules
    Code("AZ040", "error", "Wrong data type", "`type` and `path` disagree: file or folder."),
    Code("AZ041", "error", "Invalid scoring script", "It must define `init` and `run`."),
    Code("AZ042", "error", "Invalid traffic", "Traffic sums to 100; mirrored, to at most 50."),
    Code("AZ043", "error", "Wrong authentication", "Endpoints take Microsoft Entra or AML tokens."),
    Code("AZ044", "error", "Invalid cron expression", "The schedule would not run as written."),
    Code("AZ045", "error", "Ignored days", "Only weekly or monthly recurrences use these days."),
    Code(
        "AZ046", "error", "Invalid start or end", "The schedule's time is invalid or never comes."
    ),
    Code("AZ047", "error", "Target without files", "The target's files are not in this project."),
    # what Azure offers changes: these lists may be out of date
    Code("AZ070", "warning", "Unknown VM size", "The size is not in mlops' list."),
    Code("AZ071", "warning", "Unknown Spark size", "Monitors may not run on this size."),
    Code("AZ072", "warning", "Unknown time zone", "Azure ML uses Windows' names of time zones."),
    Code("AZ073", "warning", "Unknown region", "The region is not in mlops' list."),
)
CODES = {row.code: row for row in TABLE}
