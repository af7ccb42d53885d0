"""The tasks that the driver knows, with the inputs that it understands (microsoft/azure-pipelines-tasks, task.json)."""

TASKS: dict[str, set[str]] = {
    "AzureCLI@2": {"azureSubscription", "scriptType", "scriptLocation", "inlineScript"},
    "Cache@2": {"key", "restoreKeys", "path", "cacheHitVar"},
    "PublishPipelineArtifact@1": {"targetPath", "artifact"},
    "PublishTestResults@2": {"testResultsFormat", "testResultsFiles", "testRunTitle", "failTaskOnMissingResultsFile"},
    "UsePythonVersion@0": {"versionSpec"},
}
