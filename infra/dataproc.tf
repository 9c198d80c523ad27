# The cluster itself is not here: the cluster manager makes one for each load and deletes it. Here is who may.
locals {
  further_project_roles = {
    cluster_loads_rows  = { who = "cluster", role = "roles/bigquery.jobUser" }
    builder_writes_logs = { who = "builder", role = "roles/logging.logWriter" }
  }

  project_roles = merge(local.further_project_roles, [
    for name, service in local.services : {
      for what, role in service.project_roles : "${name}_${what}" => { who = name, role = role }
    }
  ]...)
}

resource "google_project_iam_member" "this" {
  for_each = local.project_roles

  project = var.project_id
  role    = each.value.role
  member  = local.members[each.value.who]
}

# The role reaches objects in every bucket of the project, the bucket of Terraform's state among them; the condition leaves
# it the temporary bucket, where Dataproc stages. What the Spark job needs beside that is granted in storage.tf.
resource "google_project_iam_member" "cluster_works" {
  project = var.project_id
  role    = "roles/dataproc.worker"
  member  = local.members["cluster"]

  condition {
    title      = "only-the-temporary-bucket"
    expression = "resource.service != \"storage.googleapis.com\" || resource.name.startsWith(\"projects/_/buckets/${local.temporary_bucket}\")"
  }
}

# A machine may only run as an account that its maker may act as.
resource "google_service_account_iam_member" "cluster_manager_acts_as_cluster" {
  service_account_id = google_service_account.cluster.name
  role               = "roles/iam.serviceAccountUser"
  member             = local.members["cluster_manager"]
}
