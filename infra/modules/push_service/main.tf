# A Cloud Run service that nobody but its push subscriptions may call, and those subscriptions.
resource "google_cloud_run_v2_service" "this" {
  name                = var.name
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY" # Pub/Sub of the same project counts as internal
  custom_audiences    = [var.audience]                  # the service's own address is known too late: it is in env
  deletion_protection = var.deletion_protection

  template {
    service_account                  = var.service_account
    timeout                          = "${var.request_timeout}s"
    max_instance_request_concurrency = var.concurrency

    scaling {
      min_instance_count = 0
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = "1"
          memory = var.memory
        }
        cpu_idle          = true # billed while a request is under way; nothing is done after the answer
        startup_cpu_boost = true
      }

      ports {
        container_port = 8080
      }

      dynamic "env" {
        for_each = var.env

        content {
          name  = env.key
          value = env.value
        }
      }

      # Alive, not ready: a storage that does not answer is met by a redelivery, not by a new container.
      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 3
        failure_threshold = 12

        http_get {
          path = "/health/live"
        }
      }
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "pusher" {
  name     = google_cloud_run_v2_service.this.name
  location = google_cloud_run_v2_service.this.location
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.push_service_account}"
}

resource "google_pubsub_subscription" "push" {
  for_each = var.subscriptions

  name                       = each.key
  topic                      = var.topic_ids[each.value.topic]
  ack_deadline_seconds       = each.value.ack_deadline
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never: a week without a tick is a normal week, a month is no reason to lose the pipeline
  }

  push_config {
    push_endpoint = google_cloud_run_v2_service.this.uri

    oidc_token {
      service_account_email = var.push_service_account
      audience              = var.audience
    }
  }

  retry_policy {
    minimum_backoff = "${each.value.min_backoff}s"
    maximum_backoff = "${each.value.max_backoff}s"
  }

  dead_letter_policy {
    dead_letter_topic     = var.topic_ids[each.value.dead_letter_topic]
    max_delivery_attempts = each.value.max_delivery_attempts
  }

  depends_on = [google_cloud_run_v2_service_iam_member.pusher]
}

# Pub/Sub acknowledges on the source what it has dead-lettered; without this it never dead-letters anything.
resource "google_pubsub_subscription_iam_member" "dead_letter_subscriber" {
  for_each = var.subscriptions

  subscription = google_pubsub_subscription.push[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = var.pubsub_agent
}
