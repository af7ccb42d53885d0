"""Loopback doubles of the services that rendered projects use."""

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"  # of every double
TENANT = "11111111-2222-3333-4444-555555555555"
