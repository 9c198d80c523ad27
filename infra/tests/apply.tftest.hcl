# What `terraform test` proves without a cloud: the whole configuration evaluates, before and after the first images, and
# what matters about it holds. The provider is mocked; only its schema is real.
mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "123456789012"
    }
  }

  mock_data "google_storage_project_service_account" {
    defaults = {
      email_address = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
    }
  }
}

variables {
  project_id   = "new-releases-test"
  build_images = false # nothing is called from a test
}

run "before_the_first_images" {
  assert {
    condition     = length(module.service) == 0
    error_message = "Without images there must be no service."
  }

  assert {
    condition     = alltrue([for job in google_cloud_scheduler_job.this : job.paused])
    error_message = "Without a service nobody hears a tick; it must not be sent."
  }
}

run "with_images" {
  variables {
    image_tag = "2026-11-23-1"
  }

  assert {
    condition     = toset(keys(module.service)) == toset(["scheduler", "market_fetcher", "batch_trigger", "cluster_manager"])
    error_message = "Each service of the topology must run."
  }

  assert {
    condition     = alltrue([for job in google_cloud_scheduler_job.this : !job.paused])
    error_message = "The tick and the sweep must be sent."
  }

  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.this["weekly-tick"].pubsub_target[0].data)).reason == "tick"
    error_message = "The tick's data must say that it is one."
  }

  assert {
    condition     = output.data_studio_url == "https://datastudio.google.com/reporting/create?c.mode=edit&r.reportName=New%20releases&ds.connector=bigQuery&ds.type=TABLE&ds.projectId=new-releases-test&ds.datasetId=music&ds.tableId=new_releases"
    error_message = "The link must open the table."
  }

  assert {
    condition     = alltrue([for grant in google_storage_bucket_iam_member.prefixes : length(grant.condition) == 1])
    error_message = "Rights on objects must be bound to prefixes."
  }

  assert {
    condition = alltrue([
      for rule in google_storage_bucket.data.lifecycle_rule : length(rule.condition) == 1 && alltrue([
        for condition in rule.condition : length(condition.matches_prefix) > 0 && !contains(condition.matches_prefix, "runs/")
      ])
    ])
    error_message = "No rule may remove what is below runs/: deleting a decision re-opens it."
  }

  assert {
    condition     = google_bigquery_table.new_releases.deletion_protection
    error_message = "The table must not go by accident."
  }
}

run "a_tag_must_name_one_build" {
  command = plan

  variables {
    image_tag = "latest"
  }

  expect_failures = [var.image_tag]
}
