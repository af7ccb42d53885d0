"""Code that runs inside a server: the scoring scripts and the data collector."""
