# The images and the Spark job, made by Cloud Build in the middle of an apply: after the registry, the builder's rights and
# the buckets, before the services. A new image_tag is a new build; one tag is built once, since the registry keeps tags.
locals {
  build_command = join(" ", [
    "gcloud builds submit . --project=${var.project_id} --region=${var.region} --config=cloudbuild.yaml",
    "--service-account=${google_service_account.builder.name}",
    "--gcs-source-staging-dir=gs://${google_storage_bucket.temporary.name}/build-source",
    "--substitutions=_IMAGES=${local.image_prefix},_BUCKET=${google_storage_bucket.data.name},_TAG=TAG",
  ])

  # A tag that is there is not built again: going back to an earlier version is an earlier tag and an apply.
  tag       = var.image_tag == null ? "TAG" : var.image_tag
  last      = "${local.image_prefix}/cluster-manager:${local.tag}"
  is_built  = "gcloud artifacts docker images describe ${local.last} --project=${var.project_id} >/dev/null 2>&1"
  build_now = replace(local.build_command, "_TAG=TAG", "_TAG=${local.tag}")
}

resource "terraform_data" "images" {
  count = var.build_images && var.image_tag != null ? 1 : 0

  triggers_replace = [var.image_tag]

  # The second try is for the first apply: rights that were given a moment ago are not known everywhere at once.
  provisioner "local-exec" {
    working_dir = "${path.module}/.."
    command     = "${local.is_built} || ${local.build_now} || { sleep 90; ${local.build_now}; }"
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.builder,
    google_project_iam_member.this,
    google_storage_bucket_iam_member.prefixes,
    google_storage_bucket_iam_member.reader,
    google_storage_bucket_iam_member.temporary,
    google_storage_bucket_iam_member.temporary_reader,
  ]
}
