locals {
  # Who publishes where. What is not named here: dead-letter topics, the sink's topic (logging.tf, where its writer is
  # known), and the topics of Cloud Scheduler, whose agent needs no grant.
  publishers = merge(
    { (local.topology.bucket_notification.topic) = { cloud_storage = "serviceAccount:${data.google_storage_project_service_account.this.email_address}" } },
    {
      for topic in distinct(flatten(values(local.services)[*].sends)) : topic => {
        for name, service in local.services : name => local.members[name] if contains(service.sends, topic)
      }
    },
  )

  # Readiness asks whether this topic exists (eventing/publisher.py); who publishes nothing does not ask.
  viewers = {
    run-finished = { for name, service in local.services : name => local.members[name] if length(service.sends) > 0 }
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
