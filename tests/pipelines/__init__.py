"""A driver of Azure Pipelines for the tests: expands a pipeline's templates, checks it, and runs it on this machine.

There is no official local runner. The driver knows what the template's pipelines use, and refuses anything else with a
PipelineError instead of guessing. Its rules are those of MicrosoftDocs/azure-devops-docs (`docs/pipelines/process/`):
template-parameters.md, template-expressions.md, expressions.md, conditions.md, variables.md, set-variables-scripts.md,
deployment-jobs.md, approvals.md, and `docs/pipelines/scripts/logging-commands.md`.
"""
