# The data bucket holds the state of every run, so what may be removed by age is said by prefix and never `runs/`.
locals {
  data_bucket      = "${var.project_id}-new-releases"
  temporary_bucket = "${var.project_id}-new-releases-temporary"

  data_days = {
    "raw/"        = var.raw_days
    "cache/"      = var.cache_days
    "quarantine/" = var.quarantine_days
    # Notes of a proof that was broken off; one that ends takes its own away.
    "canaries/" = 7
    # Records of dead letters, once there is nothing left to redrive for; a run's own are below runs/.
    "dead-letters/" = var.dead_letter_days
  }
}

resource "google_storage_bucket" "data" {
  #checkov:skip=CKV_GCP_62:Admin Activity logs and versions tell who changed what; access logs would cost more than the data
  name                        = local.data_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.allow_destroy

  # A replayed market overwrites its part; the decision that was made from the older one names its generation.
  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  dynamic "lifecycle_rule" {
    for_each = local.data_days

    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
        with_state     = "LIVE"
      }
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 14
      matches_prefix             = concat(keys(local.data_days), ["jobs/"])
      with_state                 = "ARCHIVED"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket" "temporary" {
  #checkov:skip=CKV_GCP_62:files on their way, gone within days
  #checkov:skip=CKV_GCP_78:files on their way; an older version of them is of no use to anyone
  name                        = local.temporary_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.temporary_days
    }
  }

  depends_on = [google_project_service.this]
}

# Cloud Storage's own account, which asking for makes.
data "google_storage_project_service_account" "this" {}

resource "google_storage_notification" "raw" {
  bucket             = google_storage_bucket.data.name
  topic              = module.topic[local.topology.bucket_notification.topic].id
  payload_format     = "JSON_API_V1"
  event_types        = [local.topology.bucket_notification.event]
  object_name_prefix = local.topology.bucket_notification.object_prefix
}

# --- who may do what to which objects ---
#
# By prefix; `{run}` stands for a run's id. Manifests, decisions and receipts are never replaced, but `create` alone is not
# enough for them: whoever loses a race must be told 412, and an account that may not delete may be told 403 instead.
locals {
  grants = merge(
    { for name, service in local.services : name => { read = service.reads, change = service.writes } },
    local.further_grants,
  )

  further_grants = {
    # What the Spark job needs. Its staging is in the temporary bucket (dataproc.tf).
    cluster = {
      read   = ["raw/", "jobs/", "runs/{run}/decisions/"]
      change = ["runs/{run}/loads/", "quarantine/"]
    }
    builder = {
      read   = []
      change = ["jobs/"]
    }
  }

  grant_roles = {
    read   = "roles/storage.objectViewer"
    change = "roles/storage.objectUser"
  }

  object_grants = merge([
    for who, grant in local.grants : {
      for kind, prefixes in grant : "${who} ${kind}" => {
        who        = who
        role       = local.grant_roles[kind]
        expression = join(" || ", [for prefix in prefixes : local.prefix_conditions[prefix]])
      } if length(prefixes) > 0
    }
  ]...)

  prefix_conditions = {
    for prefix in distinct(flatten([for grant in local.grants : values(grant)])) : prefix => (
      strcontains(prefix, "{")
      ? "resource.name.extract(\"/objects/${prefix}\") != \"\""
      : "resource.name.startsWith(\"projects/_/buckets/${local.data_bucket}/objects/${prefix}\")"
    )
  }
}

# Lists objects and reads the bucket's own metadata, which readiness does; reads no object.
resource "google_storage_bucket_iam_member" "reader" {
  for_each = toset(keys(local.grants))

  bucket = google_storage_bucket.data.name
  role   = "roles/storage.legacyBucketReader"
  member = local.members[each.key]
}

resource "google_storage_bucket_iam_member" "prefixes" {
  for_each = local.object_grants

  bucket = google_storage_bucket.data.name
  role   = each.value.role
  member = local.members[each.value.who]

  condition {
    title      = replace(each.key, " ", "-")
    expression = each.value.expression
  }
}

# The Spark job's rows on their way to BigQuery, the sources on their way to Cloud Build, and what a driver said at its end.
resource "google_storage_bucket_iam_member" "temporary_reader" {
  for_each = toset(["cluster", "builder", "cluster_manager"])

  bucket = google_storage_bucket.temporary.name
  role   = "roles/storage.legacyBucketReader"
  member = local.members[each.key]
}

resource "google_storage_bucket_iam_member" "temporary" {
  for_each = {
    cluster         = "roles/storage.objectUser"
    builder         = "roles/storage.objectViewer"
    cluster_manager = "roles/storage.objectViewer"
  }

  bucket = google_storage_bucket.temporary.name
  role   = each.value
  member = local.members[each.key]
}
