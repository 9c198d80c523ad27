# Dataproc sends no events; its audit log (Admin Activity, always on) tells when an operation began and ended. Both
# entries are passed on: they only wake the cluster manager, which then asks Dataproc itself.
locals {
  sink    = local.topology.logging_sink
  methods = join(" OR ", formatlist("\"%s\"", local.sink.method_names))
}

resource "google_logging_project_sink" "dataproc_operations" {
  name                   = local.sink.name
  description            = "Wakes the cluster manager when a cluster or job has begun or ended something."
  destination            = "pubsub.googleapis.com/${module.topic[local.sink.topic].id}"
  unique_writer_identity = true
  filter                 = "logName=\"projects/${var.project_id}/logs/cloudaudit.googleapis.com%2Factivity\" AND protoPayload.serviceName=\"${local.sink.service_name}\" AND protoPayload.methodName=(${local.methods})"
}

resource "google_pubsub_topic_iam_member" "sink_writes" {
  topic  = module.topic[local.sink.topic].id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.dataproc_operations.writer_identity
}
