"""APScheduler 3 on SQLite: how long it takes to fire what is due.

Run: ``python apscheduler3.py FILE REGISTERED DUE``; prints seconds. A fire is a job given to an
executor and its next time written back; that it was given is written nowhere.
"""

import pickle
import sys
import threading
from datetime import UTC, datetime, timedelta
from time import perf_counter

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

file, registered, due = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = SQLAlchemyJobStore(url=f"sqlite:///{file}")
scheduler = BackgroundScheduler(jobstores={"default": store}, timezone=UTC)
scheduler.start(paused=True)
now = datetime.now(UTC) - timedelta(seconds=1)  # noqa: TID251  (no part of the program)
job = scheduler.add_job(
    "os:getpid", "interval", days=1, start_date=now, next_run_time=now, misfire_grace_time=None
)
state = job.__getstate__()
scheduler.remove_job(job.id)
rows = []
for number in range(registered):
    at = now if number < due else now + timedelta(days=1)
    changed = state | {"id": f"job-{number}", "name": f"job-{number}", "next_run_time": at}
    rows.append(
        {
            "id": f"job-{number}",
            "next_run_time": at.timestamp(),
            "job_state": pickle.dumps(changed, store.pickle_protocol),
        }
    )
with store.engine.begin() as connection:
    connection.execute(store.jobs_t.insert(), rows)
left = threading.Semaphore(0)
scheduler.add_listener(lambda _: left.release(), EVENT_JOB_EXECUTED)
began = perf_counter()
scheduler.resume()
for _ in range(due):
    left.acquire()
print(perf_counter() - began)
scheduler.shutdown()
