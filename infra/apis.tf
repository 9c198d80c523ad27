# Left enabled on destroy: another user of the project may need them, and an enabled API costs nothing.
resource "google_project_service" "this" {
  for_each = toset(local.topology.apis)

  project            = var.project_id
  service            = each.key
  disable_on_destroy = false
}
