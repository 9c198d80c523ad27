resource "google_bigquery_dataset" "music" {
  #checkov:skip=CKV_GCP_81:Google's own encryption at rest
  dataset_id                 = "music"
  location                   = coalesce(var.bigquery_location, var.region)
  description                = "What is new on Spotify, week by week."
  delete_contents_on_destroy = var.allow_destroy

  depends_on = [google_project_service.this]
}

# The schema file is written from the columns that the Spark job writes (contracts/columns.py). A partition filter is not demanded: views that
# look for the newest run could not be written, and a year of runs is small.
resource "google_bigquery_table" "new_releases" {
  #checkov:skip=CKV_GCP_80:Google's own encryption at rest
  #checkov:skip=CKV_GCP_121:protected unless allow_destroy says otherwise, which checkov does not evaluate
  dataset_id          = google_bigquery_dataset.music.dataset_id
  table_id            = "new_releases"
  description         = "One row for each track of each new release in each market and run."
  schema              = file("${path.module}/bigquery/new_releases.schema.json")
  clustering          = ["market"]
  deletion_protection = !var.allow_destroy

  # What was asked for: the doctor compares it with what a load has left of it.
  labels = {
    partition_expiration_days = var.partition_expiration_days == null ? "never" : tostring(var.partition_expiration_days)
  }

  time_partitioning {
    type          = "DAY"
    field         = "load_date"
    expiration_ms = var.partition_expiration_days == null ? null : var.partition_expiration_days * 24 * 60 * 60 * 1000
  }
}

# One view for each file; its first line, a comment, is the view's description.
resource "google_bigquery_table" "view" {
  #checkov:skip=CKV_GCP_80:a view holds no data
  #checkov:skip=CKV_GCP_121:a view holds no data
  for_each = fileset("${path.module}/bigquery/views", "*.sql")

  dataset_id          = google_bigquery_dataset.music.dataset_id
  table_id            = trimsuffix(each.key, ".sql")
  description         = trimprefix(split("\n", file("${path.module}/bigquery/views/${each.key}"))[0], "-- ")
  deletion_protection = false

  view {
    query = templatefile("${path.module}/bigquery/views/${each.key}", {
      table = "${var.project_id}.${google_bigquery_dataset.music.dataset_id}.${google_bigquery_table.new_releases.table_id}"
    })
    use_legacy_sql = false
  }
}

# The Spark job replaces partitions; the cluster manager counts what is in them.
resource "google_bigquery_dataset_iam_member" "this" {
  for_each = merge(
    { cluster = "roles/bigquery.dataEditor" },
    { for name, service in local.services : name => service.table_role if service.table_role != null },
  )

  dataset_id = google_bigquery_dataset.music.dataset_id
  role       = each.value
  member     = local.members[each.key]
}
