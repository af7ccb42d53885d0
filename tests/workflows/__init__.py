"""Runs a rendered project's workflows with act, each job with the rights that GitHub would give it."""
