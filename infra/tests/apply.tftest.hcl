# What `terraform test` proves without a cloud: the whole configuration evaluates, before and after the first images, and
# what matters about it holds. The provider is mocked; its schema and validators are real, and look at what a mock answers.
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

  mock_resource "google_service_account" {
    defaults = {
      name   = "projects/new-releases-test/serviceAccounts/somebody@new-releases-test.iam.gserviceaccount.com"
      email  = "somebody@new-releases-test.iam.gserviceaccount.com"
      member = "serviceAccount:somebody@new-releases-test.iam.gserviceaccount.com"
    }
  }

  mock_resource "google_logging_project_sink" {
    defaults = {
      writer_identity = "serviceAccount:service-123456789012@gcp-sa-logging.iam.gserviceaccount.com"
    }
  }
}

variables {
  project_id   = "new-releases-test"
  build_images = false # nothing is called from a test
  canary       = false
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
    image_tag         = "2026-11-23-1"
    dashboard_viewers = ["user:me@example.com"]

    dashboard_embed_in = ["https://intranet.example.com", "https://wiki.example.com:8443"]
    dashboard_logo     = "tests/logo.svg"
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_service.dashboard[0].template[0].containers[0].env : env.name => env.value
      if contains(["EMBED_IN", "SPOTIFY_LOGO"], env.name)
      } == {
      EMBED_IN     = "https://intranet.example.com https://wiki.example.com:8443"
      SPOTIFY_LOGO = "data:image/svg+xml;base64,${filebase64("tests/logo.svg")}"
    }
    error_message = "The dashboard must be told which sites frame it, and hold the logo."
  }

  assert {
    condition     = toset(keys(module.service)) == toset(keys(local.services))
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
    condition = toset([
      for grant in google_cloud_run_v2_service_iam_member.viewer : "${grant.member} ${grant.role}"
    ]) == toset(["user:me@example.com roles/run.invoker", "user:me@example.com roles/run.viewer"])
    error_message = "A viewer must be able to find the dashboard and to call it."
  }

  assert {
    condition     = endswith(google_project_iam_member.cluster_works.condition[0].expression, "startsWith(\"projects/_/buckets/new-releases-test-new-releases-temporary\")")
    error_message = "The cluster's role must end at the temporary bucket."
  }

  assert {
    condition     = strcontains(output.build_command, "--region=global ")
    error_message = "A new project can build in the global region."
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

run "without_a_tag_the_last_one_stays" {
  assert {
    condition     = length(module.service) == length(local.services) && output.image_tag == "2026-11-23-1"
    error_message = "An apply that is not told image_tag must keep what runs."
  }

  assert {
    condition     = alltrue([for job in google_cloud_scheduler_job.this : !job.paused])
    error_message = "The tick and the sweep must go on."
  }
}

run "a_tag_must_name_one_build" {
  command = plan

  variables {
    image_tag = "latest"
  }

  expect_failures = [var.image_tag]
}

# The last, since what a test made is destroyed after it.
run "services_go_once_they_may" {
  variables {
    allow_destroy = true
  }

  assert {
    condition     = terraform_data.running[0].output.may_go
    error_message = "What may go must be in the state before it goes."
  }
}

run "what_the_dashboard_cannot_take" {
  command = plan

  variables {
    dashboard_embed_in = ["https://intranet.example.com/page"]
    dashboard_logo     = "tests/apply.tftest.hcl"
  }

  expect_failures = [var.dashboard_embed_in, var.dashboard_logo]
}
