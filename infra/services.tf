locals {
  # An audience of our own breaks a circle: a service must know what its callers' tokens are made out to, and its
  # address is known only once it is there.
  audiences = { for service in keys(local.services) : service => "https://new-releases-${local.short_names[service]}" }

  common_env = {
    GOOGLE_CLOUD_PROJECT = var.project_id
    BUCKET               = google_storage_bucket.data.name
    PUSH_SERVICE_ACCOUNT = google_service_account.pusher.email

    # Cloud Run's IAM admits the pusher alone and is documented to take the signature off the token that it hands on.
    PUSH_SIGNATURE_CHECKED_BY = "cloud-run"
  }

  # Values of the settings that services name in their service.json (`told`).
  settings = {
    ALBUMS_PER_MARKET            = tostring(var.albums_per_market)
    BIGQUERY_CONNECTOR_VERSION   = var.bigquery_connector_version
    BIGQUERY_DATASET             = google_bigquery_dataset.music.dataset_id
    BIGQUERY_TABLE               = google_bigquery_table.new_releases.table_id
    CLUSTER_MAX_TTL              = tostring(var.cluster_max_ttl)
    CLUSTER_SERVICE_ACCOUNT      = google_service_account.cluster.email
    DASHBOARD_URL                = local.has_dashboard ? google_cloud_run_v2_service.dashboard[0].uri : ""
    IMAGE_VERSION                = var.dataproc_image_version == null ? "" : var.dataproc_image_version
    MACHINE_TYPES                = join(",", var.cluster_machine_types)
    MARKETS                      = join(",", var.markets)
    MAX_WORKERS                  = tostring(var.cluster_max_workers)
    MINIMUM_SHARE                = tostring(var.minimum_share)
    NOTIFY_URLS_SECRET           = var.notify ? "${google_secret_manager_secret.notify[0].id}/versions/latest" : ""
    RAW_DAYS                     = tostring(var.raw_days)
    REGION                       = var.region
    RUN_DEADLINE                 = tostring(var.run_deadline)
    SCHEDULE                     = var.schedule
    SPOTIFY_CLIENT_ID_SECRET     = "${google_secret_manager_secret.spotify["client-id"].id}/versions/latest"
    SPOTIFY_CLIENT_SECRET_SECRET = "${google_secret_manager_secret.spotify["client-secret"].id}/versions/latest"
    SPOTIFY_RATE                 = tostring(var.spotify_rate)
    SPOTIFY_SOURCE               = var.spotify_source
    SUBNETWORK                   = google_compute_subnetwork.cluster.id
    TEMPORARY_BUCKET             = google_storage_bucket.temporary.name
    TIME_ZONE                    = var.time_zone
    ZONES                        = join(",", [for zone in var.cluster_zones : zone if startswith(zone, "${var.region}-")])
  }
}

# Nothing runs before there are images: Cloud Run refuses a service whose image it cannot pull.
module "service" {
  source   = "./modules/push_service"
  for_each = local.runs ? toset(keys(local.services)) : toset([])

  name                 = "new-releases-${local.short_names[each.key]}"
  region               = var.region
  image                = "${local.image_prefix}/${local.short_names[each.key]}:${local.tag}"
  service_account      = google_service_account.service[each.key].email
  push_service_account = google_service_account.pusher.email
  audience             = local.audiences[each.key]
  request_timeout      = local.request_timeouts[each.key]
  concurrency          = local.services[each.key].on_cloud_run.concurrency
  max_instances        = local.services[each.key].on_cloud_run.max_instances
  memory               = local.services[each.key].on_cloud_run.memory
  env                  = merge(local.common_env, { PUSH_AUDIENCE = local.audiences[each.key] }, { for name in local.services[each.key].told : name => local.settings[name] })
  pubsub_agent         = local.pubsub_agent
  topic_ids            = { for name, topic in module.topic : name => topic.id }
  subscriptions        = { for subscription in local.push_subscriptions : subscription.name => subscription if subscription.service == each.key }

  # A service that starts before its rights would only give messages back.
  depends_on = [
    google_storage_bucket_iam_member.reader,
    google_storage_bucket_iam_member.prefixes,
    google_secret_manager_secret_iam_member.fetcher,
    google_secret_manager_secret_iam_member.notifier,
    google_service_account_iam_member.pubsub_signs,
    google_project_iam_member.cluster_works,
    google_project_iam_member.this,
    terraform_data.images,
  ]
}
