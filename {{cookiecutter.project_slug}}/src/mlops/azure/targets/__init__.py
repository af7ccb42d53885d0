"""The targets on Azure: managed online endpoints, AKS, and Container Instances."""
