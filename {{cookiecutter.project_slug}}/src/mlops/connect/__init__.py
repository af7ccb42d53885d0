"""Connect a project to its CI platform and to Azure, and disconnect it again.

Standard library only, for any Python from 3.10: the template's hook runs it before anything is
installed. It calls `git`, `gh`, `az` and `terraform` as whoever is logged in there.
"""
