"""Loopback doubles of the services that rendered projects use."""
