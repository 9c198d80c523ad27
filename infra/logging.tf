# Dataproc sends no events; its audit log (Admin Activity, always on) tells when an operation began and ended. The end alone
# is passed on: it wakes the cluster manager, which then asks Dataproc itself. Whoever made a call knows that it began, or
# that it was refused; a job's end that the log does not tell is found by the sweep.
locals {
  sink = local.topology.logging_sink
}

resource "google_logging_project_sink" "dataproc_operations" {
  name                   = local.sink.name
  description            = "Wakes the cluster manager when a cluster or job has ended something."
  destination            = "pubsub.googleapis.com/${module.topic[local.sink.topic].id}"
  unique_writer_identity = true
  filter                 = local.sink.filter
}

resource "google_pubsub_topic_iam_member" "sink_writes" {
  topic  = module.topic[local.sink.topic].id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.dataproc_operations.writer_identity
}
