"""Deploy a registered version and shift an endpoint's traffic to it."""
