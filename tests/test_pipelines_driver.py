"""The driver of Azure Pipelines: each rule that it reproduces, on small pipelines."""

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pipelines.agent import Cancel, World
from pipelines.checks import problems
from pipelines.commands import Command, commands
from pipelines.expressions import evaluate
from pipelines.loading import PipelineError, parse
from pipelines.model import read
from pipelines.run import Run, queue, run
from pipelines.templates import bind, expand


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("on: 012\noff: 12:30\n1: yes\n", {"on": "012", "off": "12:30", "1": "yes"}),
        ("a: {b: [1, '', ~], c: }", {"a": {"b": ["1", "", "~"], "c": ""}}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ],
)
def test_every_scalar_is_a_string(text: str, content: Any) -> None:
    assert parse(text) == content


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is already defined"),
        ("- a: {b: 1, b: 2}", "line 1: 'b' is already defined"),
        ("a: &x 1\n", "line 1: anchors"),
        ("a: &x {}\nb:\n  <<: *x\n", "line 1: anchors"),
        ("a: !!int 1\n", "line 1: tags"),
        ("a: [", "expected"),
        ("a: 1\n---\nb: 1\n", "single document"),
    ],
)
def test_what_azure_pipelines_refuses_is_not_loaded(text: str, error: str) -> None:
    with pytest.raises(PipelineError, match=error):
        parse(text)


CONTEXT = {"variables": {"Build.Reason": "Schedule", "x": "", "n": "3"}, "parameters": {"flag": True, "list": ["a"]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("-2.5", -2.5),
        ("eq(variables['build.reason'], 'SCHEDULE')", True),
        ("variables.noSuch", None),
        ("variables.noSuch.more", None),
        ("parameters.list[0]", "a"),
        ("eq(variables.noSuch, '')", True),
        ("eq('', variables.noSuch)", True),
        ("ne(variables.x, '')", False),
        ("eq(3, variables.n)", True),
        ("eq('3', 3)", True),
        ("eq(3, 'three')", False),
        ("ne(3, 'three')", True),
        ("eq(0, '')", True),
        ("eq(true, 'false')", True),  # the text is converted, and any text is true
        ("eq('False', false)", True),
        ("not(parameters.flag)", False),
        ("and(true, 'x', not(''))", True),
        ("or(false, 0, '', variables.x)", False),
        ("or(true, nonsense())", True),
        ("and(false, nonsense())", False),
        ("in('B', 'a', 'b')", True),
        ("coalesce('', variables.noSuch, 'c')", "c"),
        ("format('{1}-{0}', 'a', true)", "True-a"),
    ],
)
def test_expressions_have_azures_values(text: str, value: Any) -> None:
    assert evaluate(text, CONTEXT) == value
    assert type(evaluate(text, CONTEXT)) is type(value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nonsense(1)", "nonsense is not known"),
        ("eq(1", "is missing|unexpected end"),
        ("eq(1 2)", "is missing"),
        ('eq("a", 1)', "not understood"),
        ("variables.x x", "unexpected x"),
        ("unknown.x", "unknown is not defined"),
        ("eq(parameters.list, 1)", "comparing mappings or lists"),
        ("a.*.b", "not understood"),
        ("", "unexpected end"),
    ],
)
def test_an_expression_that_is_not_known_fails(text: str, error: str) -> None:
    with pytest.raises(PipelineError, match=error):
        evaluate(text, CONTEXT)


PARAMETERS = """
- {name: text, default: ''}
- {name: size, type: number, default: 5, values: [5, 7.5]}
- {name: flag, type: boolean}
- {name: any, type: object, default: {}}
"""


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"flag": "TRUE"}, {"text": "", "size": 5, "flag": True, "any": {}}),
        (
            {"flag": "False", "size": "7.5", "any": ["1"], "text": "x"},
            {"text": "x", "size": 7.5, "flag": False, "any": ["1"]},
        ),
    ],
)
def test_parameters_have_types_and_defaults(given: Any, values: Any) -> None:
    assert bind(parse(PARAMETERS), given) == values


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "flag must be given"),
        ({"flag": "yes"}, "flag is not a valid boolean: yes"),
        ({"flag": "true", "size": "6"}, "6 is not an allowed value of the parameter size"),
        ({"flag": "true", "size": "five"}, "size is not a valid number"),
        ({"flag": "true", "text": ["x"]}, "text is not a valid string"),
        ({"flag": "true", "more": "x"}, "unexpected parameters: more"),
    ],
)
def test_a_wrong_parameter_is_refused(given: Any, error: str) -> None:
    with pytest.raises(PipelineError, match=error):
        bind(parse(PARAMETERS), given)


def files(folder: Path, **contents: str) -> Path:
    """Write YAML files; two underscores in a name are a slash."""
    for name, text in contents.items():
        path = folder / f"{name.replace('__', '/')}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("steps", "expanded"),
    [
        ("- ${{ if eq(parameters.n, 1) }}:\n  - script: a\n- ${{ elseif true }}:\n  - script: b\n", ["a"]),
        ("- ${{ if eq(parameters.n, 2) }}:\n  - script: a\n- ${{ elseif true }}:\n  - script: b\n", ["b"]),
        ("- ${{ if false }}:\n  - script: a\n- ${{ else }}:\n  - script: b\n- script: c\n", ["b", "c"]),
        ("- ${{ each x in parameters.names }}:\n  - script: echo ${{ x }}\n", ["echo a", "echo b"]),
        ("- ${{ each p in parameters.map }}:\n  - script: ${{ p.key }}=${{ p.value }}\n", ["k=v", "l=w"]),
        ("- script: ${{ parameters.n }} ${{ 'a}}b' }} ${{ true }}\n", ["1 a}}b True"]),
        (
            "- script: ${{ variables.greeting }} ${{ variables['Build.Reason'] }} ${{ variables.late }}.\n",
            ["hi Manual ."],
        ),
        ("- ${{ parameters.more }}\n- script: z\n", ["x", "y", "z"]),
        ("- template: steps.yml\n  parameters: {who: '${{ parameters.n }}'}\n", ["hello 1", "deeper"]),
        ("- template: /templates/steps.yml\n", ["hello world", "deeper"]),
    ],
)
def test_directives_and_templates_are_expanded(steps: str, expanded: list[str], tmp_path: Path) -> None:
    root = files(
        tmp_path,
        templates__steps="""
            parameters:
              - {name: who, default: world}
            steps:
              - script: hello ${{ parameters.who }}
              - template: deeper.yml
            """,
        templates__deeper="steps: [{script: deeper}]",
    )
    head = """
        parameters:
          - {name: n, type: number, default: 1}
          - {name: names, type: object, default: [a, b]}
          - {name: map, type: object, default: {k: v, l: w}}
          - {name: more, type: stepList, default: [{script: x}, {script: y}]}
        variables: {greeting: hi, late: "$[ variables.x ]"}
        """
    text = textwrap.dedent(head) + "steps:\n" + textwrap.indent(steps, "  ")
    (root / "templates" / "main.yml").write_text(text, "utf-8")
    content = expand(root, "templates/main.yml", variables={"Build.Reason": "Manual"})
    assert [step["script"] for step in content["steps"]] == expanded
    assert "parameters" not in content


def test_a_mapping_takes_directives_too(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        main="""
            parameters: [{name: env, type: object, default: {A: 1}}, {name: flag, type: boolean, default: true}]
            steps:
              - script: x
                env:
                  ${{ insert }}: ${{ parameters.env }}
                  ${{ if parameters.flag }}: {B: 2}
                  ${{ else }}: {C: 3}
                  ${{ each p in parameters.env }}: {"D${{ p.key }}": "${{ p.value }}"}
            """,
    )
    assert expand(root, "main.yml")["steps"][0]["env"] == {"A": "1", "B": "2", "DA": "1"}


@pytest.mark.parametrize(
    ("main", "error"),
    [
        ("steps: [{template: none.yml}]", "none.yml does not exist"),
        ("steps: [{template: jobs.yml}]", "jobs.yml must hold steps"),
        ("steps: [{template: other.yml@elsewhere}]", "not known here"),
        ("steps: [{template: steps.yml, parameters: {b: 1}}]", "steps.yml: unexpected parameters: b"),
        ("steps: [{template: steps.yml}]", "steps.yml: a value for the parameter a must be given"),
        ("steps: [{template: loop.yml}]", "more than 100 templates"),
        ("steps: [{script: '${{ parameters.none }}'}]", "none is not defined"),
        ("steps: [{'${{ else }}': [{script: x}]}]", "else without if"),
        ("steps: [{'${{ if 0 }}': []}, {'${{ else }}': []}, {'${{ else }}': []}]", "else without if"),
        ("steps: [{script: x, '${{ if true }}': {script: y}}]", "'script' is already defined"),
        ("steps: [{'${{ each variables in parameters.x }}': []}]\nparameters: [{name: x, type: object}]", "is taken"),
        ("trigger: ['${{ parameters.x }}']\nsteps: []", "trigger may hold no expression"),
        ("extends: {template: x.yml}", "extends is not known"),
        ("parameters: {x: 1}\nsteps: []", "must be a list"),
        ("parameters: [{name: x, default: '${{ 1 }}'}]\nsteps: []", "must be literal"),
        ("parameters: [{name: x, type: job, default: {}}]\nsteps: []", "type job are not known"),
    ],
)
def test_a_wrong_template_is_refused(main: str, error: str, tmp_path: Path) -> None:
    root = files(
        tmp_path,
        main=main,
        jobs="jobs: []",
        steps="{parameters: [{name: a}], steps: []}",
        loop="steps: [{template: loop.yml}]",
    )
    with pytest.raises(PipelineError, match=error):
        expand(root, "main.yml", {"x": {}} if "each" in main else {})


GOOD = """
stages:
  - stage: first
    jobs:
      - job: one
        steps: [{script: x, name: step}, {script: y, condition: succeededOrFailed()}]
      - job: two
        dependsOn: one
        variables: {v: "$[ dependencies.one.outputs['step.v'] ]"}
        condition: and(succeeded(), ne(dependencies.one.outputs['step.v'], ''))
        steps: []
  - stage: second
    condition: and(succeeded(), eq(dependencies.first.outputs['one.step.v'], 'x'))
    jobs:
      - deployment: release
        environment: production
        variables: {v: "$[ stageDependencies.first.one.outputs['step.v'] ]"}
        strategy: {runOnce: {deploy: {steps: [{checkout: self}, {download: none}]}}}
"""

OF_STAGE = "stage %s: dependencies.first.outputs.one.step.v is set by nothing in dependsOn"
OF_JOB = "job first.two: dependencies.one.outputs.step.v is set by nothing in dependsOn"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("", ""), []),
        (
            ("stage: second", "stage: first"),
            ["stage first: the name is used twice", "stage first, first: they wait for each other", OF_STAGE % "first"],
        ),
        (
            ("job: two\n        dependsOn: one", "job: one\n        dependsOn: one"),
            [
                "job of first one: the name is used twice",
                "job of first one, one: they wait for each other",
                *[OF_JOB.replace("two", "one")] * 2,
                "job second.release: stageDependencies.first.one.outputs.step.v is set by nothing in dependsOn",
            ],
        ),
        (
            ("dependsOn: one", "dependsOn: none"),
            [
                "job of first two: depends on none, which is unknown",
                OF_JOB,
                OF_JOB,
            ],
        ),
        (
            ("deployment: release", "deployment: deploy"),
            ["job second.deploy: the name of a deployment job may not contain deploy"],
        ),
        (("{checkout: self}, ", ""), ["job second.release: a deployment job without checkout has no code"]),
        ((", {download: none}", ""), ["job second.release: a deployment job without download gets all artifacts"]),
        (
            ("name: step", "name: other-step"),
            [
                "job first.one: step other-step: other-step is not a valid name",
                OF_JOB,
                OF_JOB,
                OF_STAGE % "second",
                "job second.release: stageDependencies.first.one.outputs.step.v is set by nothing in dependsOn",
            ],
        ),
        (
            ("condition: succeededOrFailed()", "condition: true"),
            ["job first.one: step y: the condition has no status function, so it holds after a cancel too"],
        ),
        (
            ("condition: succeededOrFailed()", "condition: sometimes()"),
            [
                "job first.one: step y: the condition has no status function, so it holds after a cancel too",
                "job first.one: step y: the function sometimes is not known here",
            ],
        ),
        (
            ("condition: succeededOrFailed()", "condition: and(always("),
            ["job first.one: step y: `and(always(`: unexpected end"],
        ),
        (
            ("condition: succeededOrFailed()", "env: {A: '$[ variables.x ]'}"),
            ["job first.one: step y: $[ ] works only in variables and conditions"],
        ),
        (
            ("condition: succeededOrFailed()", 'condition: "and(always(), stageDependencies.a)"'),
            ["job first.one: step y: stageDependencies is not available here"],
        ),
        (
            ("eq(dependencies.first", "eq(stageDependencies.first"),
            ["stage second: stageDependencies is not available here"],
        ),
        (("script: y", "task: Other@1"), ["job first.one: step Other@1: the task Other@1 is not known here"]),
        (
            ("steps: []", "steps: [{script: a, name: s}, {script: b, name: s}]"),
            ["job first.two: the step s occurs twice"],
        ),
        (
            (
                "variables: {v: \"$[ stageDependencies.first.one.outputs['step.v'] ]\"}",
                'variables: {v: "x $[ variables.y ]"}',
            ),
            ["job second.release: the variable v is only partly $[ ]"],
        ),
    ],
)
def test_what_a_schema_misses_is_found(change: tuple[str, str], found: list[str]) -> None:
    text = GOOD.replace(*change, 1)
    assert (text != GOOD) == bool(found)
    assert problems(read(parse(text))) == found


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("steps: [{powershell: x}]", "a step that begins with powershell is not known"),
        ("steps: [{script: x, retryCountOnTaskFailure: 2}]", "retryCountOnTaskFailure, which is not known"),
        ("jobs: [{job: a, container: x, steps: []}]", "container, which is not known"),
        ("jobs: [{deployment: a, environment: b, strategy: {canary: {deploy: {steps: []}}}}]", "canary.deploy.steps"),
        ("jobs: [{deployment: a, environment: b, strategy: {runOnce: {deploy: {steps: []}, on: {}}}}]", "more than"),
        ("variables: [{group: secrets}]\nsteps: []", "groups are not known"),
        ("lockBehavior: later\nsteps: []", "lockBehavior may not be later"),
        ("resources: {}\nsteps: []", "resources, which is not known"),
    ],
)
def test_what_the_driver_does_not_know_fails(text: str, error: str) -> None:
    with pytest.raises(PipelineError, match=error):
        read(parse(text))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("##vso[task.setvariable variable=a]b", Command("task.setvariable", {"variable": "a"}, "b")),
        ("x ##vso[task.logissue type=error;]y ##vso[a.b]", Command("task.logissue", {"type": "error"}, "y ##vso[a.b]")),
        (
            "##vso[task.complete result=Failed%3B]100%AZP25%0A",
            Command("task.complete", {"result": "Failed;"}, "100%\n"),
        ),
    ],
)
def test_logging_commands_are_read_as_the_agent_reads_them(line: str, command: Command) -> None:
    assert list(commands(f"before\n{line}\n##[group]x\n")) == [command]


def test_an_unknown_logging_command_fails() -> None:
    with pytest.raises(PipelineError, match=r"build.addbuildtag is not known"):
        list(commands("##vso[build.addbuildtag]x"))


def execute(folder: Path, text: str, **world: Any) -> Run:
    """Run a pipeline whose repository holds one file, `code`."""
    project = folder / "project"
    project.mkdir()
    (project / "code").write_text("print", "utf-8")
    (project / "main.yml").write_text(textwrap.dedent(text), "utf-8")
    given = World(project, folder / "agents", {"PATH": os.environ["PATH"]}, **world)
    return run(read(expand(project, "main.yml")), given)


def said(done: Run) -> dict[str, str]:
    """Return what each step that ran printed."""
    return {step.step: step.output.strip() for step in done.steps if step.command}


def jobs(text: str, conditions: Mapping[str, str], first: str = "exit 0") -> str:
    """Return a pipeline of a job `first` and jobs that depend on it, each with a condition."""
    rest = "".join(
        f'\n  - {{job: {name}, dependsOn: first, condition: "{condition}", steps: [{{script: echo}}]}}'
        for name, condition in conditions.items()
    )
    return f"{text}jobs:\n  - {{job: first, steps: [{{script: {first}}}]}}{rest}\n"


CONDITIONS = {
    "default": "",
    "good": "succeeded()",
    "bad": "failed()",
    "both": "succeededOrFailed()",
    "any": "always()",
    "stopped": "canceled()",
    "named": "failed('first')",
    "free": "true",
}


@pytest.mark.parametrize(
    ("first", "cancel", "ran"),
    [
        ("exit 0", None, {"default", "good", "both", "any", "free"}),
        ("exit 3", None, {"bad", "both", "any", "named", "free"}),
        ("echo now", Cancel("echo now", "now"), {"any", "stopped", "free"}),
    ],
)
def test_conditions_hold_by_what_came_before(first: str, cancel: Cancel | None, ran: set[str], tmp_path: Path) -> None:
    done = execute(tmp_path, jobs("", CONDITIONS, first), cancel=cancel)
    assert {name for name in CONDITIONS if done.jobs[f"__default.{name}"] == "Succeeded"} == ran
    assert {done.jobs[f"__default.{name}"] for name in CONDITIONS.keys() - ran} == {"Skipped"}
    first_result = {"exit 0": "Succeeded", "exit 3": "Failed", "echo now": "Canceled"}[first]
    assert (done.jobs["__default.first"], done.result) == (first_result, first_result)


def test_conditions_of_steps_hold_by_the_state_of_the_job(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        steps:
          - {script: "exit 1", displayName: tolerated, continueOnError: true}
          - {script: echo, displayName: after}
          - {script: "exit 2", displayName: fails}
          - {script: echo, displayName: default}
          - {script: echo, displayName: failed, condition: failed()}
          - {script: echo, displayName: both, condition: succeededOrFailed()}
          - {script: echo, displayName: status, condition: "and(always(), eq(variables['Agent.JobStatus'], 'Failed'))"}
        """,
    )
    assert {step.step: step.result for step in done.steps} == {
        "tolerated": "Failed",
        "after": "Succeeded",
        "fails": "Failed",
        "default": "Skipped",
        "failed": "Succeeded",
        "both": "Succeeded",
        "status": "Succeeded",
    }
    assert [step.code for step in done.steps][:3] == [1, 0, 2]
    assert done.result == "Failed"


def test_what_failed_counts_for_all_that_come_after(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        jobs:
          - {job: a, steps: [{script: exit 1}]}
          - {job: b, dependsOn: a, condition: always(), steps: [{script: echo}]}
          - {job: c, dependsOn: b, steps: [{script: echo}]}
          - {job: d, dependsOn: b, condition: succeeded('b'), steps: [{script: echo}]}
        """,
    )
    assert list(done.jobs.values()) == ["Failed", "Succeeded", "Skipped", "Succeeded"]


def test_after_a_cancel_nothing_has_succeeded(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        jobs:
          - {job: a, steps: [{script: echo}]}
          - {job: b, steps: [{script: echo, displayName: here}, {script: exit 1, condition: always()}]}
          - {job: c, dependsOn: a, steps: [{script: echo}]}
        """,
        cancel=Cancel("here"),
    )
    assert list(done.jobs.values()) == ["Succeeded", "Canceled", "Skipped"]


def test_a_tolerated_failure_is_an_issue(tmp_path: Path) -> None:
    done = execute(tmp_path, "steps: [{script: exit 1, continueOnError: true}]")
    assert done.result == "SucceededWithIssues"


def test_a_cancelled_step_is_killed_and_what_always_runs_still_runs(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        steps:
          - {bash: "echo begun; sleep 60; echo ended", displayName: long}
          - {script: echo, displayName: default}
          - {script: echo, displayName: both, condition: succeededOrFailed()}
          - {script: echo cleaned, displayName: always, condition: always()}
        """,
        cancel=Cancel("long", "begun", patience=1),
    )
    assert said(done) == {"long": "begun", "always": "cleaned"}


def test_variables_reach_steps_as_documented(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        variables: {a.b: root, c: "$(a.b)!", d: "$[ coalesce(variables['none'], variables['given']) ]"}
        steps:
          - {bash: 'echo "$A_B $(a.b) $(C) $(pwd | wc -l) $D"', displayName: read}
          - {bash: 'echo "##vso[task.setvariable variable=a.b]later"', displayName: set}
          - {bash: 'echo "$A_B"', displayName: again, env: {MORE: $(a.b)}}
          - {bash: 'echo "$MORE.$X"', displayName: own, env: {X: "$(a.b)-$(unknown)"}}
          - {script: ls, displayName: code}
          - {bash: 'false\n\necho on', displayName: goes on}
        """,
        variables={"given": "by hand"},
    )
    assert said(done) == {
        "read": "root root root! 1 by hand",
        "set": "##vso[task.setvariable variable=a.b]later",
        "again": "later",
        "own": ".later-$(unknown)",
        "code": "code\nmain.yml",
        "goes on": "on",
    }


def test_secrets_are_masked_and_only_mapped_by_hand(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        variables: {copy: $(token)}
        steps:
          - {bash: 'echo "[$TOKEN] [$MAPPED]"', displayName: given, env: {MAPPED: $(Token)}}
          - {bash: "echo '$(copy)'", displayName: copied}
          - {bash: 'echo "##vso[task.setvariable variable=made;issecret=true]hush"', displayName: make}
          - {bash: 'echo "[$MADE] $(made)"', displayName: made}
          - {bash: 'echo "##vso[task.setsecret]quiet"; echo quiet', displayName: mask}
          - {bash: 'echo quiet', displayName: masked}
        """,
        secrets={"token": "s3cret"},
    )
    assert "s3cret" not in str(done.steps)
    assert said(done) | {"make": "", "mask": ""} == {
        "given": "[] [***]",
        "copied": "$(token)",
        "make": "",
        "made": "[] ***",
        "mask": "",
        "masked": "***",
    }


OUTPUTS = """
stages:
  - stage: one
    jobs:
      - job: a
        steps:
          - {bash: 'echo "##vso[task.setvariable variable=v;isOutput=true]7"', name: s}
          - {bash: 'echo "$(s.v) $S_V [$V]"', displayName: same job}
      - deployment: b
        dependsOn: a
        environment: open
        variables: {v: "$[ dependencies.a.outputs['s.v'] ]"}
        strategy:
          runOnce:
            deploy:
              steps: [{bash: 'echo "##vso[task.setvariable variable=w;isOutput=true]$(v)8"', name: t}]
      - job: c
        dependsOn: b
        variables: {w: "$[ dependencies.b.outputs['b.t.w'] ]", none: "$[ dependencies.b.outputs['t.w'] ]"}
        steps: [{bash: 'echo "$(w)[$NONE]"', displayName: other job}]
  - stage: two
    condition: and(succeeded(), eq(dependencies.one.outputs['a.s.v'], 7), eq(dependencies.one.outputs['b.b.t.w'], 78))
    jobs:
      - job: d
        condition: and(succeeded(), ne(stageDependencies.one.a.outputs['s.v'], ''))
        variables:
          v: $[ stageDependencies.one.a.outputs['s.v'] ]
          w: $[ stageDependencies.one.b.outputs['b.t.w'] ]
        steps: [{bash: 'echo "$(v) $(w)"', displayName: other stage}]
  - stage: three
    jobs:
      - job: e
        variables: {v: "$[ stageDependencies.one.a.outputs['s.v'] ]"}
        steps: [{bash: 'echo "[$V]"', displayName: too far}]
"""


def test_outputs_reach_jobs_and_stages_by_their_keys(tmp_path: Path) -> None:
    done = execute(tmp_path, OUTPUTS, environments={"open": ""})
    words = {name: text for name, text in said(done).items() if not text.startswith("##")}
    assert words == {"same job": "7 7 []", "other job": "78[]", "other stage": "7 78", "too far": "[]"}


def test_a_step_adds_to_the_path_of_those_that_follow(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        steps:
          - bash: |
              mkdir bin && echo 'echo mine' > bin/own && chmod +x bin/own
              echo "##vso[task.prependpath]$PWD/bin"
          - {script: own, displayName: own}
          - {task: UsePythonVersion@0, name: python, inputs: {versionSpec: "3.11"}}
          - {script: echo $(python.pythonLocation), displayName: where}
          - {task: Cache@2, inputs: {key: k, path: p, cacheHitVar: HIT}}
          - {script: echo, displayName: missed, condition: "and(succeeded(), ne(variables['HIT'], 'true'))"}
        """,
    )
    assert {said(done)["own"], said(done)["where"]} == {"mine", "/opt/python/3.11"}
    assert done.steps[-1].result == "Succeeded"


def test_what_a_step_told_before_it_failed_counts(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        steps:
          - bash: |
              echo Why > why.md
              echo "##vso[task.uploadsummary]$PWD/why.md"
              echo "##vso[task.setvariable variable=v]7"
              echo "##vso[task.complete result=SucceededWithIssues]"
              exit 1
          - {bash: 'echo "$V"', displayName: after, condition: failed()}
        """,
    )
    assert (done.result, done.summaries, said(done)["after"]) == ("Failed", ["Why\n"], "7")


def test_an_output_needs_the_name_of_its_step(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="has no name"):
        execute(tmp_path, "steps: [{bash: 'echo \"##vso[task.setvariable variable=v;isoutput=TRUE]1\"'}]")


GATED = """
stages:
  - stage: staging
    jobs: [{deployment: a, environment: staging, strategy: {runOnce: {deploy: {steps: [{script: "%s"}]}}}}]
  - stage: production
    jobs: [{deployment: b, environment: production, strategy: {runOnce: {deploy: {steps: [{script: ls}]}}}}]
  - stage: after
    jobs: [{job: c, steps: [{script: echo}]}]
"""


@pytest.mark.parametrize(
    ("script", "answer", "asked", "stages"),
    [
        ("exit 0", "approved", ["production"], ["Succeeded", "Succeeded", "Succeeded"]),
        ("exit 0", "rejected", ["production"], ["Succeeded", "Failed", "Skipped"]),
        ("exit 0", "timed out", ["production"], ["Succeeded", "Skipped", "Skipped"]),
        ("exit 0", "", [], ["Succeeded", "Succeeded", "Succeeded"]),
        ("exit 1", "approved", [], ["Failed", "Skipped", "Skipped"]),
    ],
)
def test_a_stage_waits_for_its_approval(
    script: str, answer: str, asked: list[str], stages: list[str], tmp_path: Path
) -> None:
    done = execute(tmp_path, GATED % script, environments={"staging": "", "production": answer})
    assert (done.asked, list(done.stages.values())) == (asked, stages)
    assert [step.output for step in done.steps if step.stage == "production"] == (
        [""] if stages[1] == "Succeeded" else []
    )


def test_others_go_on_while_an_approval_is_waited_for(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    text = GATED.replace("script: ls", f"script: ls {seen}, displayName: look")
    done = execute(tmp_path, text % "ls", environments={"staging": "", "production": "approved"}, meanwhile=seen.touch)
    assert said(done)["look"] == str(seen)


def test_an_environment_must_exist(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="production does not exist"):
        execute(tmp_path, GATED % "exit 0", environments={"staging": ""})


def test_azure_cli_logs_in_by_its_service_connection(tmp_path: Path) -> None:
    text = """
        steps:
          - task: AzureCLI@2
            displayName: log in
            env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}
            inputs:
              azureSubscription: %s
              scriptType: bash
              scriptLocation: inlineScript
              inlineScript: |
                echo "$AZURESUBSCRIPTION_CLIENT_ID ${#SYSTEM_ACCESSTOKEN}"
          - script: echo "[$AZURESUBSCRIPTION_CLIENT_ID]"
            displayName: after
        """
    connections = {"staging": {"AZURESUBSCRIPTION_CLIENT_ID": "client"}}
    given: dict[str, Any] = {"connections": connections, "secrets": {"System.AccessToken": "12345"}}
    done = execute(tmp_path, text % "staging", **given)
    assert said(done) == {"log in": "client 5", "after": "[]"}
    (tmp_path / "other").mkdir()
    with pytest.raises(PipelineError, match="no service connection named production"):
        execute(tmp_path / "other", text % "production", **given)


@pytest.mark.parametrize(
    "step",
    [
        "{task: Other@1}",
        "{task: Cache@2, inputs: {other: x}}",
        "{task: AzureCLI@2, inputs: {azureSubscription: s, scriptType: ps, scriptLocation: inlineScript}}",
        "{download: specific, artifact: x}",
    ],
)
def test_a_task_that_the_driver_does_not_know_fails(step: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="known here"):
        execute(tmp_path, f"steps: [{step}]", connections={"s": {}})


def test_artifacts_travel_between_jobs_and_keep_their_names(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        jobs:
          - job: a
            steps:
              - {bash: 'mkdir out && echo 1 > out/one && echo "# Sum" > sum.md'}
              - {publish: out, artifact: out}
              - {bash: 'echo "##vso[task.uploadsummary]$PWD/sum.md"'}
          - job: b
            dependsOn: a
            steps:
              - {download: current, artifact: out}
              - {checkout: none}
              - {bash: 'cat "$PIPELINE_WORKSPACE/out/one"; ls', displayName: read}
              - {publish: nowhere, artifact: other, displayName: missing, continueOnError: true}
              - {publish: $(Pipeline.Workspace)/out, artifact: out, displayName: again}
        """,
    )
    assert said(done)["read"] == "1"
    assert done.summaries == ["# Sum\n"]
    assert {step.step: step.result for step in done.steps[-2:]} == {"missing": "Failed", "again": "Failed"}


def test_jobs_share_nothing_and_wait_only_for_those_they_name(tmp_path: Path) -> None:
    done = execute(
        tmp_path,
        """
        jobs:
          - {job: last, dependsOn: [one, two], steps: [{script: ls, displayName: last}]}
          - {job: one, steps: [{script: touch mine, displayName: one}]}
          - {job: two, steps: [{script: ls, displayName: two}]}
        """,
    )
    assert [step.step for step in done.steps] == ["one", "two", "last"]
    assert {said(done)["two"], said(done)["last"]} == {"code\nmain.yml"}


@pytest.mark.parametrize(
    ("lock", "going", "cancelled"),
    [("sequential", ["1", "2", "3"], []), ("runLatest", ["3"], ["1", "2"]), ("", ["3"], ["1", "2"])],
)
def test_an_exclusive_lock_takes_runs_by_its_behaviour(lock: str, going: list[str], cancelled: list[str]) -> None:
    assert queue(lock, ["1", "2", "3"]) == (going, cancelled)
