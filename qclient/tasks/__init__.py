"""Tasks: functions that are run somewhere else, by whoever takes their message.

    app = App()

    @app.task(queue="mail", timeout=30, max_attempts=5)
    async def send(user_id: int) -> None: ...

    async with app.connect("qserver://127.0.0.1:7711"):
        await send.put(user_id=3)

`qclient.worker` runs them: `qclient worker module:app`.
"""

from qclient.tasks.app import App
from qclient.tasks.control import Reject, Release, Retry, Why
from qclient.tasks.job import Job, JobFailed, JobNotEnded, Progress, State, Status
from qclient.tasks.task import AsyncTask, Call, PlainTask, Task

__all__ = [
    "App",
    "AsyncTask",
    "Call",
    "Job",
    "JobFailed",
    "JobNotEnded",
    "PlainTask",
    "Progress",
    "Reject",
    "Release",
    "Retry",
    "State",
    "Status",
    "Task",
    "Why",
]
