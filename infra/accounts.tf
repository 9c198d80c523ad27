# One account for each thing that acts. What each may do stands beside what it is done to.
resource "google_service_account" "service" {
  for_each = toset(keys(local.services))

  account_id   = "new-releases-${local.short_names[each.key]}"
  display_name = "new-releases: ${each.key}"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "pusher" {
  account_id   = "new-releases-pusher"
  display_name = "new-releases: signs the pushes of Pub/Sub"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "cluster" {
  account_id   = "new-releases-cluster"
  display_name = "new-releases: machines of the Dataproc cluster"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "builder" {
  account_id   = "new-releases-builder"
  display_name = "new-releases: builds images and uploads the Spark job"
  depends_on   = [google_project_service.this]
}

# Lets Pub/Sub sign a push in the pusher's name. Newer projects grant it by Pub/Sub's own role already.
resource "google_service_account_iam_member" "pubsub_signs" {
  service_account_id = google_service_account.pusher.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
}

locals {
  # An account's id has 30 characters at most.
  short_names = { for service in keys(local.services) : service => replace(service, "_", "-") }

  members = merge(
    { for service, account in google_service_account.service : service => account.member },
    {
      cluster = google_service_account.cluster.member
      builder = google_service_account.builder.member
    },
  )
}
