# The places alone: the values are added with gcloud and never pass through Terraform or its state.
resource "google_secret_manager_secret" "spotify" {
  #checkov:skip=CKV_GCP_84:Google's own encryption at rest
  for_each = toset(["client-id", "client-secret"])

  secret_id = "new-releases-spotify-${each.key}"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.this]
}

# Whom the notifier tells: addresses that hold tokens. Without it nobody is told.
resource "google_secret_manager_secret" "notify" {
  #checkov:skip=CKV_GCP_84:Google's own encryption at rest
  count = var.notify ? 1 : 0

  secret_id = "new-releases-notify-urls"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "notifier" {
  count = var.notify ? 1 : 0

  secret_id = google_secret_manager_secret.notify[0].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.members["notifier"]
}

resource "google_secret_manager_secret_iam_member" "fetcher" {
  for_each = google_secret_manager_secret.spotify

  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.members["market_fetcher"]
}
