output "bucket" {
  description = "Bucket of manifests, parts, decisions and receipts."
  value       = google_storage_bucket.data.name
}

output "build_command" {
  description = "Builds the images and uploads the Spark job, where build_images is false; write a tag of your own for TAG."
  value       = local.build_command
}

output "dashboard_command" {
  description = "Opens the dashboard on http://localhost:8080 for somebody in dashboard_viewers; null where there is none."
  value       = local.has_dashboard ? "gcloud run services proxy new-releases-dashboard --project=${var.project_id} --region=${var.region}" : null
}

output "data_studio_url" {
  description = "Opens a new Data Studio report on the table; needs a Google account that may read it."
  value = join("&", [
    "https://datastudio.google.com/reporting/create?c.mode=edit",
    "r.reportName=New%20releases",
    "ds.connector=bigQuery",
    "ds.type=TABLE",
    "ds.projectId=${urlencode(var.project_id)}",
    "ds.datasetId=${urlencode(google_bigquery_dataset.music.dataset_id)}",
    "ds.tableId=${urlencode(google_bigquery_table.new_releases.table_id)}",
  ])
}

output "dead_letter_subscriptions" {
  description = "Subscriptions that hold dead letters that could not even be recorded."
  value       = [for subscription in local.pull_subscriptions : subscription.name if contains(local.dead_letter_topics, subscription.topic)]
}

output "image_prefix" {
  description = "Where the images lie."
  value       = local.image_prefix
}

output "image_tag" {
  description = "Tag of the images that run; empty before the first."
  value       = local.tag
}

output "secrets" {
  description = "Secrets that wait for their values."
  value       = merge({ for name, secret in google_secret_manager_secret.spotify : name => secret.secret_id }, { for secret in google_secret_manager_secret.notify : "notify-urls" => secret.secret_id })
}

output "service_accounts" {
  description = "The accounts, by what they are for."
  value       = merge(local.members, { pusher = google_service_account.pusher.member })
}

output "service_uris" {
  description = "Addresses of the services; they answer nobody but Pub/Sub."
  value       = { for name, service in module.service : name => service.uri }
}

output "table" {
  description = "The table."
  value       = "${var.project_id}.${google_bigquery_dataset.music.dataset_id}.${google_bigquery_table.new_releases.table_id}"
}

output "temporary_bucket" {
  description = "Bucket of files on their way."
  value       = google_storage_bucket.temporary.name
}

output "tick_command" {
  description = "Asks for this date's run now."
  value       = "gcloud scheduler jobs run ${google_cloud_scheduler_job.this["weekly-tick"].name} --project=${var.project_id} --location=${var.region}"
}
