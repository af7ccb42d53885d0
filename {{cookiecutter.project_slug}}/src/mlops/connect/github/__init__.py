"""Connect a project on GitHub."""
