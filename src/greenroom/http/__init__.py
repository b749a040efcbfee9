"""The HTTP edges: native REST, MLflow's wire, bytes. One ASGI application in one process."""
