"""Loopback doubles of what the rendered projects talk to."""
