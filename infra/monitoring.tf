# Metrics are counted from the services' log lines (one constant name each), alerts watch them and what Google measures.
# Every alert's documentation is its section of docs/runbook.md.
locals {
  our_logs = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^new-releases-\""

  log_metrics = {
    runs_requested   = "jsonPayload.message=\"markets_requested\" AND jsonPayload.requested>0"
    runs_finished    = "jsonPayload.message=\"run_finished\""
    runs_missing     = "jsonPayload.message=\"run_missing\""
    runs_stuck       = "jsonPayload.message=\"sweep_failed\" AND severity>=ERROR"
    runs_failed      = "jsonPayload.message=\"run_finished\" AND jsonPayload.outcome=\"failed\""
    runs_doubtful    = "jsonPayload.message=\"run_doubtful\""
    markets_fetched  = "jsonPayload.message=\"market_fetched\""
    markets_given_up = "jsonPayload.message=\"market_dead_lettered\""
    # A canary that each deployment sends to a dead-letter topic itself was given up by nobody.
    dead_letters = "jsonPayload.message=\"dead_letter_recorded\" AND NOT (jsonPayload.event=\"Canary\" AND jsonPayload.subscription=\"unknown\")"
    # Each delivery that is given back because of a wait; while one lasts they come every ten minutes at the latest.
    throttled         = "jsonPayload.message=\"market_waits\""
    unexpected_faults = "jsonPayload.message=\"unexpected\""
  }

  # PromQL, whose windows may be longer than a threshold's, and which may name a metric that has no value yet. A line is
  # counted up to ten minutes after it was written, and looked for every five: a shorter window than half an hour may be
  # over before its line is there.
  counted = {
    for name in keys(local.log_metrics) :
    name => "logging_googleapis_com:user_new_releases_${name}{monitored_resource=\"cloud_run_revision\"}"
  }

  swept = "pubsub_googleapis_com:topic_send_message_operation_count{monitored_resource=\"pubsub_topic\",topic_id=\"sweep-requested\"}"

  # One line tells of one run and why: the message carries both, within a minute. The first two are said by each sweep until
  # somebody has mended it.
  told_alerts = {
    run_missing = {
      name     = "A tick was due and its run has not begun"
      severity = "ERROR"
      lines    = "runs_missing"
    }
    run_stuck = {
      name     = "A run stands still on what cannot be read or done"
      severity = "ERROR"
      lines    = "runs_stuck"
    }
    run_failed = {
      name     = "A run failed"
      severity = "ERROR"
      lines    = "runs_failed"
    }
    run_doubtful = {
      name     = "A run was loaded and wants a person's eye"
      severity = "WARNING"
      lines    = "runs_doubtful"
    }
  }

  # Many lines, or none, tell of one cause: they are counted.
  log_alerts = {
    sweeps_stopped = {
      name     = "Nothing has been swept for three hours"
      severity = "ERROR"
      # There were sweeps within the day, and then no more: whoever tells of what is lost is lost itself.
      query    = "(sum(increase(${local.swept}[24h])) > 0) unless (sum(increase(${local.swept}[3h])) > 0)"
      duration = 0
    }
    run_late = {
      name     = "A run has not finished by its deadline"
      severity = "ERROR"
      # A run was asked for within a day, none has finished since, and it stays so beyond the deadline and an hour for the load.
      query    = "(sum(increase(${local.counted["runs_requested"]}[24h])) > 0) unless (sum(increase(${local.counted["runs_finished"]}[24h])) > 0)"
      duration = var.run_deadline + 3600
    }
    throttled_too_long = {
      name     = "Spotify has been throttling us for too long"
      severity = "WARNING"
      query    = "sum(increase(${local.counted["throttled"]}[1h])) > 0"
      duration = var.throttled_alert_after
    }
    market_given_up = {
      name     = "A market was given up"
      severity = "WARNING"
      query    = "sum(increase(${local.counted["markets_given_up"]}[30m])) > 0"
      duration = 0
    }
    dead_letters = {
      name     = "A message was given up"
      severity = "ERROR"
      query    = "sum(increase(${local.counted["dead_letters"]}[30m])) > 0"
      duration = 0
    }
    unexpected_fault = {
      name     = "A service met a fault that it does not know"
      severity = "ERROR"
      query    = "sum(increase(${local.counted["unexpected_faults"]}[30m])) > 0"
      duration = 0
    }
  }

  # Why, and what to type first, stands in the message itself: it is read on a telephone, and the runbook is not at hand.
  # Google puts what a line holds in the place of $${…}; a count has no line, so that it is said where the cause is.
  options  = "--project ${var.project_id} --region ${var.region} --bucket ${local.data_bucket}"
  the_run  = "$${log.extracted_label.run}"
  why      = "Run ${local.the_run}: $${log.extracted_label.reason}"
  look_run = "${local.why}\n\nType: `releases ${local.options} run show ${local.the_run}`. It says what to type next."

  look_runs  = "Type: `releases ${local.options} run list`, then `releases ${local.options} run show RUN` with the newest date. It says why, and what to type next."
  look_stack = "Type: `releases ${local.options} doctor --problems`. It says what is wrong, and what to do about it."
  look_log   = "The cause is in the log: `gcloud logging read 'jsonPayload.message=\"unexpected\"' --project=${var.project_id} --freshness=1h --limit=3 --format='value(jsonPayload.exception)'`."

  look = {
    run_failed             = local.look_run
    run_doubtful           = local.look_run
    run_missing            = "${local.why}\n\nType: `releases ${local.options} run start --date ${local.the_run}`."
    run_stuck              = "${local.why}\n\n${local.look_stack}"
    run_late               = local.look_runs
    throttled_too_long     = local.look_runs
    market_given_up        = local.look_runs
    sweeps_stopped         = local.look_stack
    unhandled_dead_letters = local.look_stack
    cluster_too_old        = local.look_stack
    unexpected_fault       = "${local.look_log}\n\n${local.look_stack}"
    dead_letters           = "Type: `releases ${local.options} dead-letter list`. It says whose messages were given up, and why."
  }

  # Dead letters that not even the batch trigger could record.
  operator_queues = join(",", [
    for subscription in local.pull_subscriptions : "\"${subscription.name}\""
    if contains(local.dead_letter_topics, subscription.topic)
  ])
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  name   = "new_releases_${each.key}"
  filter = "${local.our_logs} AND (${each.value})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == null ? 0 : 1

  display_name = "new-releases"
  type         = "email"
  labels       = { email_address = var.alert_email }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "told" {
  for_each = local.told_alerts

  display_name          = "new-releases: ${each.value.name}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = google_monitoring_notification_channel.email[*].id

  conditions {
    display_name = each.value.name

    condition_matched_log {
      filter = "${local.our_logs} AND (${local.log_metrics[each.value.lines]})"

      # Each combination is told by itself, so that the next revision's failure is news.
      label_extractors = {
        run      = "EXTRACT(jsonPayload.run_id)"
        revision = "EXTRACT(jsonPayload.revision)"
        reason   = "EXTRACT(jsonPayload.reason)"
      }
    }
  }

  # What each sweep says again is told again after six hours, and is over an hour after it was said last.
  alert_strategy {
    auto_close = "3600s"

    notification_rate_limit {
      period = "21600s"
    }
  }

  documentation {
    content   = "${local.look[each.key]}\n\nThen see docs/runbook.md, section ${each.key}."
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "log" {
  for_each = local.log_alerts

  display_name          = "new-releases: ${each.value.name}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = google_monitoring_notification_channel.email[*].id

  conditions {
    display_name = each.value.name

    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = "${each.value.duration}s"
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  documentation {
    content   = "${local.look[each.key]}\n\nThen see docs/runbook.md, section ${each.key}."
    mime_type = "text/markdown"
  }

  depends_on = [google_logging_metric.this]
}

resource "google_monitoring_alert_policy" "unhandled_dead_letters" {
  display_name          = "new-releases: Dead letters could not be recorded"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = google_monitoring_notification_channel.email[*].id

  conditions {
    display_name = "Dead letters could not be recorded"

    condition_threshold {
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.label.subscription_id=one_of(${local.operator_queues})"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "${local.look.unhandled_dead_letters}\n\nThen see docs/runbook.md, section unhandled_dead_letters."
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "cluster_too_old" {
  display_name          = "new-releases: A cluster is older than it may become"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = google_monitoring_notification_channel.email[*].id

  conditions {
    display_name = "A machine of a cluster is up for longer than the cluster's time to live and 15 minutes"

    # Dataproc puts a cluster's labels on its machines; ours carry `app`.
    condition_threshold {
      filter          = "metric.type=\"compute.googleapis.com/instance/uptime_total\" AND resource.type=\"gce_instance\" AND metadata.user_labels.app=\"new-releases\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.cluster_max_ttl + 900
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "${local.look.cluster_too_old}\n\nThen see docs/runbook.md, section cluster_too_old."
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = file("${path.module}/monitoring/dashboard.json")
  depends_on     = [google_logging_metric.this]
}
