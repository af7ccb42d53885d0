"""The endpoints on Azure that a release can target."""
