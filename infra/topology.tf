# Names, policies and what services may do come from topology.json, which the local stack and the tests read, too. Nothing
# here repeats it.
locals {
  topology = jsondecode(file("${path.module}/topology.json"))

  push_subscriptions = local.topology.push_subscriptions
  pull_subscriptions = local.topology.pull_subscriptions
  services           = local.topology.services
  pushed_topics      = toset([for subscription in local.push_subscriptions : subscription.topic])
  dead_letter_topics = toset([for subscription in local.push_subscriptions : subscription.dead_letter_topic])

  # A request to a service may take as long as the longest of its subscriptions waits for it, and no longer.
  request_timeouts = {
    for service in keys(local.services) : service => max(
      [for subscription in local.push_subscriptions : subscription.ack_deadline if subscription.service == service]...
    )
  }

  labels = {
    app        = "new-releases"
    managed-by = "terraform"
  }

  # Google's own accounts that act in this project; each exists once its API is enabled.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# Read before anything is made, hence no depends_on here or on the bucket's account: a source that waits for a change is
# unknown while it is planned, and every grant that names its answer would be taken away and given anew. What it asks is
# enabled by hand first (README.md).
data "google_project" "this" {
  project_id = var.project_id
}
