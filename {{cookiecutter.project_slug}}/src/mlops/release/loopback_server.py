"""Run Azure ML's inference server for this machine only.

``azmlinfsrv`` listens on all interfaces, and has no option to change that.
"""

from azureml_inference_server_http import amlserver

if __name__ == "__main__":
    amlserver.DEFAULT_HOST = "127.0.0.1"
    amlserver.run()
