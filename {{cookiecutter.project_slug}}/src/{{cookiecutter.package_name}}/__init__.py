"""Your science: how to load the data, which features to make, which model to fit."""
