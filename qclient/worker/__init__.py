"""The worker: runs the tasks of an App.

    qclient worker shop.tasks:app --concurrency 100

or from a program:

    await Worker(app, "qserver://127.0.0.1:7711", Settings(concurrency=100)).run()
"""

from qclient.worker.delivery import Delivery, current
from qclient.worker.settings import Settings
from qclient.worker.worker import Worker

__all__ = ["Delivery", "Settings", "Worker", "current"]
