"""Loopback doubles of the services that rendered projects use."""

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"  # of every double
