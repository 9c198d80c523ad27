resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:Google's own encryption at rest; a key of one's own would be one more thing to lose
  repository_id = "new-releases"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the services and the dashboard."

  # What a tag names never changes, so that image_tag says exactly what runs. No policy cleans up: an image whose tag is
  # immutable is not deleted, and each of ours has one.
  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
}

locals {
  image_prefix = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}
