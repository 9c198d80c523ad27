# Which images run, and that they go on running: an apply that is not told image_tag keeps the tag that was applied last.
#
# The tag is noted in this clone, beside what it knows of the state. A clone without the note does not know the tag; what
# it would take away is kept by `terraform_data.running`, which is destroyed before anything else and refuses.
locals {
  note = "${path.module}/.terraform/image_tag.${var.project_id}"
  tag  = var.image_tag != null ? var.image_tag : fileexists(local.note) ? trimspace(file(local.note)) : ""
  runs = local.tag != ""
}

resource "terraform_data" "note" {
  count = local.runs ? 1 : 0

  input            = local.note
  triggers_replace = [local.tag]

  provisioner "local-exec" {
    command = "mkdir -p \"$(dirname '${self.input}')\" && echo '${local.tag}' > '${self.input}'"
  }

  provisioner "local-exec" {
    when    = destroy
    command = "rm -f '${self.input}'"
  }

  depends_on = [module.service]
}

resource "terraform_data" "running" {
  count = local.runs ? 1 : 0

  input = { may_go = var.allow_destroy, tag = local.tag }

  provisioner "local-exec" {
    when    = destroy
    command = "${self.output.may_go} || { echo 'Refused: without image_tag every service and subscription would go. Set image_tag = \"${self.output.tag}\", which runs; if they are to go, apply that with allow_destroy = true first.' >&2; exit 1; }"
  }

  depends_on = [
    google_cloud_run_v2_service.dashboard,
    google_cloud_run_v2_service_iam_member.viewer,
    module.service,
    terraform_data.images,
    terraform_data.note,
  ]
}
