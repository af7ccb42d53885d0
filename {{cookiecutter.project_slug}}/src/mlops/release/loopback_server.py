"""Azure ML's inference server, reachable from this machine only.

``azmlinfsrv`` itself listens on every interface and has no option against it.
"""

from azureml_inference_server_http import amlserver

if __name__ == "__main__":
    amlserver.DEFAULT_HOST = "127.0.0.1"
    amlserver.run()
