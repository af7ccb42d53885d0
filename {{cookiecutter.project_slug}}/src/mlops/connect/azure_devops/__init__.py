"""What connect does on Azure DevOps."""
