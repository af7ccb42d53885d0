"""Validate, train and evaluate in one process that reads the data once, as `mlops run` does."""

from mlops import lifecycle

project = lifecycle.load_project(".")
rows = lifecycle.read(project)
lifecycle.validate(project, rows)
dataset = lifecycle.split(project, rows)
training = lifecycle.train(project, rows, dataset)
lifecycle.evaluate(project, training, dataset)
