"""Tasks that are due by themselves, for workers in processes of their own."""

from qclient.tasks import App
from qclient.worker import current
from tests.e2e.worker_tasks import note

app = App("periodic", queue="ticks")


@app.every(0.2, catch_up="all")
@app.task
async def tick() -> None:
    note("tick", int(current().due_ms))


@app.cron("* * * * * *")
@app.task
def second() -> None:
    note("second", int(current().due_ms))


@app.cron("30 2 1 1 *", timezone="Europe/Vienna")
@app.task(queue="yearly")
async def yearly() -> None:
    note("yearly", int(current().due_ms))
