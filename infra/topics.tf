locals {
  # Who publishes where. What is not named here: dead-letter topics, the sink's topic (logging.tf, where its writer is
  # known), and the topics of Cloud Scheduler, whose agent needs no grant.
  publishers = {
    market-requested = { scheduler = local.members["scheduler"], batch_trigger = local.members["batch_trigger"] }
    batch-ready      = { batch_trigger = local.members["batch_trigger"] }
    run-finished     = { cluster_manager = local.members["cluster_manager"] }
    raw-finalized    = { cloud_storage = "serviceAccount:${data.google_storage_project_service_account.this.email_address}" }
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
  pushed             = contains(local.pushed_topics, each.key)
  pubsub_agent       = local.pubsub_agent
  pull_subscriptions = toset([
    for subscription in local.pull_subscriptions : subscription.name if subscription.topic == each.key
  ])

  depends_on = [google_project_service.this]
}
