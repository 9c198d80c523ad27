# One topic with who may publish to it and what a person pulls from it.
#
# A dead-letter topic needs two things more, without which messages vanish silently: Pub/Sub itself must be allowed to
# publish to it, and somebody must be subscribed. Its own retention covers the time in which that somebody is not there
# yet, or no longer: a subscription that is made later can be moved back to what had come before it.
resource "google_pubsub_topic" "this" {
  #checkov:skip=CKV_GCP_83:Google's own encryption at rest; messages hold names of runs and markets
  name = var.name

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  message_retention_duration = var.takes_dead_letters ? var.dead_letter_retention : null

  lifecycle {
    precondition {
      condition     = !var.takes_dead_letters || var.pushed || length(var.pull_subscriptions) > 0
      error_message = "The dead-letter topic ${var.name} has no subscription: what is dead-lettered there would be lost."
    }
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.publishers

  topic  = google_pubsub_topic.this.id
  role   = "roles/pubsub.publisher"
  member = each.value
}

resource "google_pubsub_topic_iam_member" "dead_letter_publisher" {
  count = var.takes_dead_letters ? 1 : 0

  topic  = google_pubsub_topic.this.id
  role   = "roles/pubsub.publisher"
  member = var.pubsub_agent
}

resource "google_pubsub_topic_iam_member" "viewer" {
  for_each = var.viewers

  topic  = google_pubsub_topic.this.id
  role   = "roles/pubsub.viewer"
  member = each.value
}

resource "google_pubsub_subscription" "pull" {
  for_each = var.pull_subscriptions

  name                       = each.key
  topic                      = google_pubsub_topic.this.id
  ack_deadline_seconds       = 60
  message_retention_duration = var.takes_dead_letters ? var.dead_letter_retention : var.retention

  # Never: a subscription that nobody reads for a month is just what a dead-letter queue is.
  expiration_policy {
    ttl = ""
  }
}
