"""Azure Machine Learning: jobs, registries, endpoints, and the doctor that checks `azureml/`."""
