locals {
  # Who publishes our own events; a topic that is not named here is fed by Google or by dead-lettering alone.
  publishers = {
    market-requested    = { scheduler = local.members["scheduler"] }
    batch-ready         = { batch_trigger = local.members["batch_trigger"] }
    run-finished        = { cluster_manager = local.members["cluster_manager"] }
    raw-finalized       = { cloud_storage = "serviceAccount:${data.google_storage_project_service_account.this.email_address}" }
    dataproc-operations = { logging_sink = google_logging_project_sink.dataproc_operations.writer_identity }
  }

  # Readiness asks whether this topic exists (eventing/publisher.py); the fetcher publishes nothing and does not ask.
  viewers = {
    run-finished = { for service in ["scheduler", "batch_trigger", "cluster_manager"] : service => local.members[service] }
  }
}

module "topic" {
  source   = "./modules/topic"
  for_each = toset(local.topology.topics)

  name               = each.key
  region             = var.region
  publishers         = lookup(local.publishers, each.key, {})
  viewers            = lookup(local.viewers, each.key, {})
  takes_dead_letters = contains(local.dead_letter_topics, each.key)
  pubsub_agent       = local.pubsub_agent
  pull_subscriptions = toset([
    for subscription in local.pull_subscriptions : subscription.name if subscription.topic == each.key
  ])

  depends_on = [google_project_service.this]
}
