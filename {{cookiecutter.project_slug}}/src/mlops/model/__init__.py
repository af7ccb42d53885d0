"""Fitting a model, and keeping it in MLflow."""
