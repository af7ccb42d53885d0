"""The lifecycle of a classification model: validate, train, evaluate, register, release."""
