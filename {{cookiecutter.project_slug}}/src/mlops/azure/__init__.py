"""Azure Machine Learning: names, specifications and checks of what `azureml/` describes."""
