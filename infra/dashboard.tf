# The dashboard: who looks at it is named one by one, and it only ever reads. Nothing of it exists before there are images
# and somebody to look. A viewer opens it with `terraform output -raw dashboard_command`.
locals {
  has_dashboard = local.runs && length(var.dashboard_viewers) > 0
  logo_kind     = endswith(coalesce(var.dashboard_logo, ".png"), ".svg") ? "svg+xml" : "png"
  logo          = var.dashboard_logo == null ? "" : "data:image/${local.logo_kind};base64,${filebase64(var.dashboard_logo)}"
}

resource "google_service_account" "dashboard" {
  account_id   = "new-releases-dashboard"
  display_name = "new-releases: dashboard"
  depends_on   = [google_project_service.this]
}

# Asking a question is a right on the project; what may be asked about is not.
resource "google_project_iam_member" "dashboard" {
  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.dashboard.member
}

resource "google_bigquery_dataset_iam_member" "dashboard" {
  dataset_id = google_bigquery_dataset.music.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = google_service_account.dashboard.member
}

# Parts are listed, with size and time, but not read: the run view shows no content.
resource "google_storage_bucket_iam_member" "dashboard_lists" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.legacyBucketReader"
  member = google_service_account.dashboard.member
}

resource "google_storage_bucket_iam_member" "dashboard_reads_runs" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.dashboard.member

  condition {
    title      = "dashboard-read"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.data_bucket}/objects/runs/\")"
  }
}

resource "google_cloud_run_v2_service" "dashboard" {
  count = local.has_dashboard ? 1 : 0

  name                = "new-releases-dashboard"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL" # people come from outside; who they are is asked below
  deletion_protection = !var.allow_destroy

  template {
    service_account                  = google_service_account.dashboard.email
    timeout                          = "60s"
    max_instance_request_concurrency = 80

    scaling {
      min_instance_count = 0
      max_instance_count = 1 # one cache, and a bound on what a loop in somebody's browser costs
    }

    # As in modules/push_service, which is for services that Pub/Sub alone may call, with their subscriptions.
    containers {
      image = "${local.image_prefix}/dashboard:${local.tag}"

      resources {
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      ports {
        container_port = 8080
      }

      dynamic "env" {
        for_each = {
          GOOGLE_CLOUD_PROJECT = var.project_id
          BUCKET               = google_storage_bucket.data.name
          BIGQUERY_DATASET     = google_bigquery_dataset.music.dataset_id
          EMBED_IN             = join(" ", var.dashboard_embed_in)
          LEAVE_OUT            = join(",", var.dashboard_leave_out)
          SPOTIFY_LOGO         = local.logo
          REGION               = var.region
        }

        content {
          name  = env.key
          value = env.value
        }
      }

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

  depends_on = [
    google_bigquery_dataset_iam_member.dashboard,
    google_project_iam_member.dashboard,
    google_storage_bucket_iam_member.dashboard_lists,
    google_storage_bucket_iam_member.dashboard_reads_runs,
    terraform_data.images,
  ]
}

# The command that opens it asks Cloud Run for the address, which calling it alone does not allow.
locals {
  viewer_grants = {
    for grant in setproduct(var.dashboard_viewers, ["roles/run.invoker", "roles/run.viewer"]) :
    join(" ", grant) => { member = grant[0], role = grant[1] }
  }
}

resource "google_cloud_run_v2_service_iam_member" "viewer" {
  for_each = local.has_dashboard ? local.viewer_grants : {}

  name     = google_cloud_run_v2_service.dashboard[0].name
  location = google_cloud_run_v2_service.dashboard[0].location
  role     = each.value.role
  member   = each.value.member
}
