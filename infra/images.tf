# The images and the Spark job, made by Cloud Build in the middle of an apply: after the registry, the builder's rights and
# the buckets, and after the table, which must have every column that the job writes; before the services. A new tag is a new build; one tag is built once, since the registry keeps tags.
locals {
  build_command = join(" ", [
    "gcloud builds submit . --project=${var.project_id} --region=${var.build_region} --config=cloudbuild.yaml",
    "--service-account=${google_service_account.builder.name}",
    "--gcs-source-staging-dir=gs://${google_storage_bucket.temporary.name}/build-source",
    "--substitutions=_IMAGES=${local.image_prefix},_BUCKET=${google_storage_bucket.data.name},_TAG=TAG",
  ])
}

resource "terraform_data" "images" {
  count = var.build_images && local.runs ? 1 : 0

  triggers_replace = [local.tag]

  provisioner "local-exec" {
    working_dir = "${path.module}/.."
    command     = "sh infra/build_images.sh"

    environment = {
      BUILD   = replace(local.build_command, "_TAG=TAG", "_TAG=${local.tag}")
      IMAGES  = join(" ", concat(sort(values(local.short_names)), ["dashboard"]))
      PREFIX  = local.image_prefix
      PROJECT = var.project_id
      TAG     = local.tag
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.builder,
    google_bigquery_table.new_releases,
    google_project_iam_member.this,
    google_storage_bucket_iam_member.prefixes,
    google_storage_bucket_iam_member.reader,
    google_storage_bucket_iam_member.temporary,
    google_storage_bucket_iam_member.temporary_reader,
  ]
}
