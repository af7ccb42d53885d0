"""The code of each finding, to look it up and to ignore it. Codes are never reused."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Code(NamedTuple):
    """One row of the table; docs/doctor.md has a section for each."""

    code: str
    severity: Severity  # a warning never fails the command
    title: str
    explanation: str


TABLE = (
    # any file
    Code("AZ001", "error", "Unreadable file", "The file is not valid YAML, or has no fields."),
    Code("AZ002", "error", "Duplicated field", "YAML keeps the last value and ignores the others."),
    Code("AZ003", "error", "Unknown schema", "No command of `mlops` reads this `$schema`."),
    Code("AZ004", "error", "Rejected by Azure ML", "The SDK's own validation rejects the file."),
    Code("AZ005", "error", "Invalid name", "Azure does not accept the name."),
    Code("AZ006", "error", "Duplicated name", "Two files of the same kind have the same name."),
    Code("AZ007", "error", "Invalid value", "Azure does not accept the value of the field."),
    Code("AZ008", "error", "Missing path", "The file or folder does not exist."),
    Code("AZ009", "error", "Not uploaded", "The file is missing, or `.amlignore` excludes it."),
    # references
    Code("AZ010", "error", "Invalid reference", "The form is `azureml:NAME` and a version."),
    Code("AZ011", "error", "Undefined reference", "No file of `azureml/` defines the name."),
    Code("AZ012", "error", "No compute", "The step has no compute and the pipeline no default."),
    Code("AZ013", "error", "No version", "The reference needs `@latest` or `:VERSION`."),
    Code("AZ014", "error", "Model not pinned", "A deployment serves one exact model version."),
    Code("AZ015", "error", "Missing field", "Azure or `mlops` needs the field."),
    # components and pipelines
    Code("AZ020", "error", "Undeclared name", "The command uses an input or output it lacks."),
    Code("AZ021", "error", "Unused name", "An input or output is declared and never used."),
    Code("AZ022", "error", "Optional input", "The command fails if the input is left out."),
    Code("AZ023", "error", "Invalid command", "`mlops` or the shell would refuse the command."),
    Code("AZ024", "error", "Invalid input", "The value has the wrong type or is out of range."),
    Code("AZ025", "error", "Unknown name", "The component or pipeline does not declare it."),
    Code("AZ026", "error", "Missing input", "The step gives no value for a required input."),
    Code("AZ027", "error", "Invalid binding", "`${{...}}` names no input or step's output."),
    Code("AZ028", "error", "Type mismatch", "The input is bound to a value of another type."),
    Code("AZ029", "error", "Circular steps", "The steps wait for each other and never start."),
    Code("AZ030", "error", "Unknown setting", "Pipelines do not have the setting."),
    Code("AZ031", "error", "Invalid sweep", "The objective or the limits cannot work."),
    # assets, endpoints and schedules
    Code("AZ040", "error", "Wrong data type", "`type` says file and `path` folder, or vice versa."),
    Code("AZ041", "error", "Invalid script", "A scoring script defines `init` and `run`."),
    Code("AZ042", "error", "Invalid traffic", "It sums to 100 %; mirrored, to at most 50 %."),
    Code("AZ043", "error", "Wrong authentication", "Endpoints take tokens, never keys."),
    Code("AZ044", "error", "Invalid cron expression", "The schedule would not run as written."),
    Code("AZ045", "error", "Ignored days", "Days need a weekly or a monthly recurrence."),
    Code("AZ046", "error", "Invalid time", "The schedule's start or end cannot be right."),
    Code("AZ047", "error", "Missing target", "The project has no files for the serving target."),
    # what Azure offers changes, so these may be wrong
    Code("AZ070", "warning", "Unknown VM size", "`mlops` does not know the size."),
    Code("AZ071", "warning", "Unknown Spark size", "Monitors may not run on the size."),
    Code("AZ072", "warning", "Unknown time zone", "Azure ML uses the Windows names."),
    Code("AZ073", "warning", "Unknown region", "`mlops` does not know the region."),
)
CODES = {row.code: row for row in TABLE}
