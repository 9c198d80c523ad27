locals {
  # An audience of our own breaks a circle: a service must know what its callers' tokens are made out to, and its
  # address is known only once it is there.
  audiences = { for service in local.services : service => "https://new-releases-${local.short_names[service]}" }

  common_env = {
    GOOGLE_CLOUD_PROJECT = var.project_id
    BUCKET               = google_storage_bucket.data.name
    PUSH_SERVICE_ACCOUNT = google_service_account.pusher.email

    # Cloud Run's IAM admits the pusher alone and is documented to take the signature off the token that it hands on.
    PUSH_SIGNATURE_CHECKED_BY = "cloud-run"
  }

  # What each service is told beside that, and how much of it there may be.
  service_shapes = {
    scheduler = {
      max_instances = 2
      concurrency   = 20
      memory        = "512Mi"
      env = {
        TIME_ZONE     = var.time_zone
        SCHEDULE      = var.schedule
        MARKETS       = join(",", var.markets)
        RUN_DEADLINE  = tostring(var.run_deadline)
        MINIMUM_SHARE = tostring(var.minimum_share)
        RAW_DAYS      = tostring(var.raw_days)
      }
    }
    market_fetcher = {
      # One, and many requests at once: Spotify's quota is one for the whole app, so one process must own it.
      max_instances = 1
      concurrency   = 250
      memory        = "1Gi"
      env = {
        SPOTIFY_CLIENT_ID_SECRET     = "${google_secret_manager_secret.spotify["client-id"].id}/versions/latest"
        SPOTIFY_CLIENT_SECRET_SECRET = "${google_secret_manager_secret.spotify["client-secret"].id}/versions/latest"
        SPOTIFY_SOURCE               = var.spotify_source
        SPOTIFY_RATE                 = tostring(var.spotify_rate)
        ALBUMS_PER_MARKET            = tostring(var.albums_per_market)
      }
    }
    batch_trigger = {
      max_instances = 2
      concurrency   = 80
      memory        = "512Mi"
      env           = { RAW_DAYS = tostring(var.raw_days) }
    }
    cluster_manager = {
      max_instances = 2
      concurrency   = 20
      memory        = "512Mi"
      env = {
        REGION                     = var.region
        TEMPORARY_BUCKET           = google_storage_bucket.temporary.name
        BIGQUERY_DATASET           = google_bigquery_dataset.music.dataset_id
        BIGQUERY_TABLE             = google_bigquery_table.new_releases.table_id
        IMAGE_VERSION              = var.dataproc_image_version == null ? "" : var.dataproc_image_version
        MACHINE_TYPES              = join(",", var.cluster_machine_types)
        ZONES                      = join(",", [for zone in var.cluster_zones : zone if startswith(zone, "${var.region}-")])
        MAX_WORKERS                = tostring(var.cluster_max_workers)
        SUBNETWORK                 = google_compute_subnetwork.cluster.id
        CLUSTER_SERVICE_ACCOUNT    = google_service_account.cluster.email
        BIGQUERY_CONNECTOR_VERSION = var.bigquery_connector_version
        CLUSTER_MAX_TTL            = tostring(var.cluster_max_ttl)
        RAW_DAYS                   = tostring(var.raw_days)
        DASHBOARD_URL              = local.has_dashboard ? google_cloud_run_v2_service.dashboard[0].uri : ""
      }
    }
  }
}

# Nothing runs before there are images: Cloud Run refuses a service whose image it cannot pull.
module "service" {
  source   = "./modules/push_service"
  for_each = local.runs ? local.services : toset([])

  name                 = "new-releases-${local.short_names[each.key]}"
  region               = var.region
  image                = "${local.image_prefix}/${local.short_names[each.key]}:${local.tag}"
  service_account      = google_service_account.service[each.key].email
  push_service_account = google_service_account.pusher.email
  audience             = local.audiences[each.key]
  request_timeout      = local.request_timeouts[each.key]
  concurrency          = local.service_shapes[each.key].concurrency
  max_instances        = local.service_shapes[each.key].max_instances
  memory               = local.service_shapes[each.key].memory
  env                  = merge(local.common_env, { PUSH_AUDIENCE = local.audiences[each.key] }, local.service_shapes[each.key].env)
  pubsub_agent         = local.pubsub_agent
  topic_ids            = { for name, topic in module.topic : name => topic.id }
  subscriptions        = { for subscription in local.push_subscriptions : subscription.name => subscription if subscription.service == each.key }

  # A service that starts before its rights would only give messages back.
  depends_on = [
    google_storage_bucket_iam_member.reader,
    google_storage_bucket_iam_member.prefixes,
    google_secret_manager_secret_iam_member.fetcher,
    google_service_account_iam_member.pubsub_signs,
    google_project_iam_member.cluster_works,
    google_project_iam_member.this,
    terraform_data.images,
  ]
}
