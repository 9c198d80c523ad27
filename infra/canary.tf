# What an apply ends with: one message through every subscription, and a new object through the bucket's notification. An
# apply whose canary does not arrive fails, and the next one sends it again; everything else is made by then.
locals {
  can_send_canary = fileexists("${path.module}/../.venv/bin/python")
  sends_canary    = coalesce(var.canary, local.can_send_canary)
}

# Not sending it is said at every plan and apply, unless it was chosen.
check "canary" {
  assert {
    condition     = var.canary != null || local.can_send_canary
    error_message = "NOT PROVED: no canary is sent, since the repository has no environment here. Run `make setup` and apply again, or `./releases doctor --canary` where it has one; canary = false if another step does it."
  }
}

resource "terraform_data" "canary" {
  count = local.sends_canary && local.runs ? 1 : 0

  # Another version, or the same one told something else.
  triggers_replace = [local.tag, sha256(jsonencode([local.topology, local.common_env, local.settings]))]

  provisioner "local-exec" {
    working_dir = "${path.module}/.."
    command     = <<-END
      ./releases --project "$PROJECT" --region "$REGION" --bucket "$BUCKET" doctor --canary --timeout 900 && exit 0
      echo 'NOT DEPLOYED: see above, mend it and apply again. canary = false leaves this out, where ./releases cannot run.' >&2
      exit 1
    END

    environment = {
      BUCKET  = google_storage_bucket.data.name
      PROJECT = var.project_id
      REGION  = var.region
    }
  }

  depends_on = [
    google_cloud_scheduler_job.this,
    google_pubsub_topic_iam_member.sink_writes,
    google_storage_notification.raw,
    terraform_data.running,
  ]
}
