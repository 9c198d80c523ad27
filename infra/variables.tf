variable "alert_email" {
  description = "Address that alerts are mailed to; without one they are shown in Cloud Monitoring alone."
  type        = string
  default     = null
}

variable "allow_destroy" {
  description = "Whether `terraform destroy` may remove the buckets with all objects, and dataset and table with all rows."
  type        = bool
  default     = false
  nullable    = false
}

variable "albums_per_market" {
  description = "Albums of a market that are fetched, 1 to 1000; 1000 is where Spotify's search ends."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.albums_per_market >= 1 && var.albums_per_market <= 1000
    error_message = "albums_per_market must be from 1 to 1000."
  }
}

variable "bigquery_location" {
  description = "Location of the dataset; null means the region, so that no byte leaves it."
  type        = string
  default     = null
}

variable "build_images" {
  description = "Whether an apply with a new image_tag has Cloud Build make the images first, which needs gcloud where Terraform runs; false: run the output build_command before."
  type        = bool
  default     = true
  nullable    = false
}

variable "build_region" {
  description = "Where Cloud Build works; a new project has a quota for builds in few regions, and always in global."
  type        = string
  default     = "global"
  nullable    = false
}

variable "cache_days" {
  description = "Days an album stays in the cache after it was last read from Spotify."
  type        = number
  default     = 30
  nullable    = false
}

variable "canary" {
  description = "Whether an apply that changes what runs ends with one message through every subscription and fails where one does not arrive. Unset: where the repository has its environment (`make setup`), and a warning where not."
  type        = bool
  default     = null
}

variable "cluster_machine_types" {
  description = "Machine types of the cluster's machines, the further ones for when Google has none of those before; e2-standard-N and n2-standard-N, or the receipts have no cost estimate."
  type        = list(string)
  default     = ["e2-standard-2", "n2-standard-2"]
  nullable    = false
}

variable "cluster_zones" {
  description = "Zones that are asked for where the one that Dataproc chooses has no machines; those of another region are left out."
  type        = list(string)
  default     = ["europe-west3-a", "europe-west3-b", "europe-west3-c"]
  nullable    = false
}

variable "cluster_max_ttl" {
  description = "Seconds after which Dataproc itself deletes a cluster, whatever it does; 600 to 82800 (23 hours)."
  type        = number
  default     = 7200
  nullable    = false

  validation {
    condition     = var.cluster_max_ttl >= 600 && var.cluster_max_ttl <= 82800
    error_message = "cluster_max_ttl must be from 600 to 82800 seconds."
  }
}

variable "cluster_max_workers" {
  description = "Workers of a cluster at most, for runs too large for one machine; 0 keeps every cluster to one, 1 is not possible."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.cluster_max_workers == 0 || (var.cluster_max_workers >= 2 && var.cluster_max_workers <= 100)
    error_message = "cluster_max_workers must be 0, or from 2 to 100: Dataproc makes no cluster with a single worker."
  }
}

variable "dashboard_viewers" {
  description = "Who may open the dashboard, such as [\"user:me@example.com\", \"group:team@example.com\"]; with nobody there is none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.dashboard_viewers : can(regex("^(user|group|serviceAccount):[^@ ]+@[^@ ]+$", member))])
    error_message = "Each of dashboard_viewers must be user:, group: or serviceAccount: and an address; nobody else is let in, least of all everybody."
  }
}

variable "dashboard_embed_in" {
  description = "Sites that may show the dashboard in a frame, such as [\"https://intranet.example.com\"]; with none no site may."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for site in var.dashboard_embed_in : can(regex("^https://[A-Za-z0-9.*-]+(:[0-9]+)?$", site))])
    error_message = "Each of dashboard_embed_in must be https:// and a host, without a path, such as https://intranet.example.com."
  }
}

variable "dashboard_leave_out" {
  description = "What the dashboard does not show: covers, figures, artists, comparison, data. docs/spotify-terms.md says why one would leave something out."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.dashboard_leave_out, ["covers", "figures", "artists", "comparison", "data"])) == 0
    error_message = "Each of dashboard_leave_out must be covers, figures, artists, comparison or data."
  }
}

variable "dashboard_logo" {
  description = "File with Spotify's full logo, .svg or .png, as Spotify gives it away (docs/spotify-terms.md); with none the dashboard writes the name."
  type        = string
  default     = null

  validation {
    condition     = var.dashboard_logo == null || can(regex("[.](svg|png)$", var.dashboard_logo))
    error_message = "The file of dashboard_logo must end in .svg or .png, as Spotify gives its logo away."
  }

  validation {
    # What Cloud Run takes as the value of a variable: 32 kB.
    condition     = var.dashboard_logo == null || try(length(filebase64(var.dashboard_logo)), 0) < 32000
    error_message = "The file of dashboard_logo must be smaller than 24,000 bytes: take the .svg, or a smaller .png."
  }
}

variable "dataproc_image_version" {
  description = "Dataproc image; null means the one that the cluster manager pins (IMAGE_VERSION). Must carry the Spark line that the job is written for."
  type        = string
  default     = null
}

variable "bigquery_connector_version" {
  description = "Spark-BigQuery connector that is installed on the image; pinned."
  type        = string
  default     = "0.45.0"
  nullable    = false
}

variable "image_tag" {
  description = "Tag of the images, a new one for each build; null keeps the one applied last, and before the first there is no service, no push and no tick."
  type        = string
  default     = null

  validation {
    condition     = var.image_tag == null ? true : can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag must be a tag of one build, such as 2026-11-23-1; latest says nothing about what runs."
  }
}

variable "dead_letter_days" {
  description = "Days the record of a dead letter is kept, redriven or not."
  type        = number
  default     = 90
  nullable    = false
}

variable "markets" {
  description = "Markets of a run, such as [\"DK\", \"SE\"]; empty means the services' own list."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for market in var.markets : can(regex("^[A-Z]{2}$", market))])
    error_message = "Each market must be two capital letters."
  }
}

variable "minimum_share" {
  description = "Share of the markets without which nothing is loaded at the deadline, 0 to 1."
  type        = number
  default     = 0.9
  nullable    = false
}

variable "notify" {
  description = "Whether people are told what a run became: makes the secret new-releases-notify-urls, which waits for their addresses."
  type        = bool
  default     = false
  nullable    = false
}

variable "partition_expiration_days" {
  description = "Days a run's rows stay in the table; null keeps them. Read docs/spotify-terms.md before you choose."
  type        = number
  default     = null
}

variable "project_id" {
  description = "Project that all of this lives in; best one that holds nothing else."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id, such as new-releases-4711, not its name or number."
  }
}

variable "quarantine_days" {
  description = "Days that records the Spark job could not read are kept."
  type        = number
  default     = 60
  nullable    = false
}

variable "raw_days" {
  description = "Days that what Spotify answered is kept; a run can be loaded again for so long, then it is archived."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.raw_days >= 30
    error_message = "raw_days must be at least 30: runs are completed for up to 7 days, and compared with the run before."
  }
}

variable "region" {
  description = "Region of services, buckets and clusters."
  type        = string
  default     = "europe-west3"
  nullable    = false
}

variable "run_deadline" {
  description = "Seconds after which a run closes with what has landed; at most 79200 (22 hours), so that the alert on late runs can be told."
  type        = number
  default     = 21600
  nullable    = false

  validation {
    condition     = var.run_deadline >= 600 && var.run_deadline <= 79200
    error_message = "run_deadline must be from 600 to 79200 seconds."
  }
}

variable "schedule" {
  description = "When a run is asked for, as a cron expression in the time zone."
  type        = string
  default     = "0 0 * * 1"
  nullable    = false

  validation {
    condition     = length(split(" ", var.schedule)) == 5
    error_message = "schedule must be the five fields of cron, as in \"0 0 * * 1\": the scheduler tells of ticks that do not come."
  }
}

variable "spotify_rate" {
  description = "Calls a second to Spotify to start with and never to exceed."
  type        = number
  default     = 10
  nullable    = false
}

variable "spotify_source" {
  description = "How releases are listed: browse (extended-quota apps), search (developer apps), or auto, which finds out."
  type        = string
  default     = "auto"
  nullable    = false

  validation {
    condition     = contains(["auto", "browse", "search"], var.spotify_source)
    error_message = "spotify_source must be auto, browse or search."
  }
}

variable "sweep_schedule" {
  description = "When open runs are looked at again, as a cron expression."
  type        = string
  default     = "*/10 * * * *"
  nullable    = false
}

variable "temporary_days" {
  description = "Days that files on their way lie in the temporary bucket when nobody removes them."
  type        = number
  default     = 3
  nullable    = false
}

variable "throttled_alert_after" {
  description = "Seconds of throttling by Spotify, without a break of an hour, that raise an alert; at most 79200."
  type        = number
  default     = 14400
  nullable    = false

  validation {
    condition     = var.throttled_alert_after >= 3600 && var.throttled_alert_after <= 79200
    error_message = "throttled_alert_after must be from 3600 to 79200 seconds."
  }
}

variable "time_zone" {
  description = "IANA time zone of the schedule and of a run's date."
  type        = string
  default     = "Europe/Copenhagen"
  nullable    = false
}
