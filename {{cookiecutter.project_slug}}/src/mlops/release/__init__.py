"""Serving a registered version, and moving an endpoint's traffic to it."""
