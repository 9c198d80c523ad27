"""A stand-in for Dataproc that the real clients talk to: honest states, a real driver process, the audit entries.

    python -m local.dataproc --port 0 --pubsub-emulator HOST:PORT --project P --log-dir DIR

prints `ready 127.0.0.1:PORT` once it serves. Clusters are records; a job is a real `spark-submit` on this
machine. What the audit log's sink lets through goes to the Pub/Sub topic as log entries. Faults can be ordered
over HTTP (`local.dataproc.control`).

Modules: `states`, `filters` and `operations` are pure; `audit` words and delivers the log entries; `faults` keeps
what was ordered; `driver` runs a process, `spark` gives it spark-submit, `bucket` brings its files and keeps its
output; `world` holds clusters and jobs, `journal` their operations and log; `api` is the gRPC table; `server` puts them
together; `__main__` reads the command line.

It deliberately does not imitate:

- machines: a cluster's configuration is kept and returned, but only name, labels and the scheduled deletion have
  an effect; no default is filled in, nothing is refused for quota or want of machines but on order, and nothing for
  zone, image or permission;
- UpdateCluster, StartCluster, StopCluster, RepairCluster, DiagnoseCluster, SubmitJobAsOperation, UpdateJob,
  DeleteJob, ListOperations, CancelOperation, batches, sessions, workflow templates, autoscaling: UNIMPLEMENTED;
- jobs other than PySpark (UNIMPLEMENTED), restartable jobs, substates, YARN applications, queueing: every job
  starts at once, however many there are; `file_uris`, `archive_uris` and `jar_file_uris` are ignored;
- paging: lists answer with everything;
- scheduled stop (`idle_stop_ttl`, `auto_stop_ttl`): bounds are checked, nothing stops;
- forgetting: a request id is remembered for as long as the process lives (the real retention is not documented);
- staging buckets: drivers' outputs go to the one bucket, in one piece and only when the driver has ended;
- memory: clusters and jobs live in the process and are gone when it ends, their driver processes too;
- audit entries of refused calls, but of one refused for quota, and of calls that are not long-running (CancelJob);
- the CREATING state's leniency: whether the real service queues a job for a cluster that is not yet RUNNING is not
  documented, so this one refuses it with FAILED_PRECONDITION.
"""
