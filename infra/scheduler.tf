# Cloud Scheduler publishes in the name of its own service agent, which has that right since its API was enabled. It may
# publish twice for one tick: the run's id is the date in the time zone, so that twice is once.
locals {
  ticks = {
    "weekly-tick" = {
      topic       = "run-requested"
      type        = "newreleases.run.requested.v1"
      schedule    = var.schedule
      reason      = "tick"
      description = "Asks for the run of this date."
    }
    "sweep" = {
      topic       = "sweep-requested"
      type        = "newreleases.sweep.requested.v1"
      schedule    = var.sweep_schedule
      reason      = "sweep"
      description = "Has every open run looked at again, so that a lost event costs minutes."
    }
  }
}

resource "google_cloud_scheduler_job" "this" {
  for_each = local.ticks

  name        = "new-releases-${each.key}"
  region      = var.region
  description = each.value.description
  schedule    = each.value.schedule
  time_zone   = var.time_zone
  paused      = !local.runs # nobody would hear it

  pubsub_target {
    topic_name = module.topic[each.value.topic].id
    data       = base64encode(jsonencode({ reason = each.value.reason }))

    attributes = {
      "ce-id"          = each.key
      "ce-source"      = "//new-releases/cloud-scheduler"
      "ce-specversion" = "1.0"
      "ce-type"        = each.value.type
      "content-type"   = "application/json"
    }
  }

  retry_config {
    retry_count          = 5
    min_backoff_duration = "5s"
    max_backoff_duration = "300s"
  }

  # Not before every subscription is there: a topic keeps no message for one that is made later.
  depends_on = [google_project_service.this, terraform_data.running]
}
