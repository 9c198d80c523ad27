variable "audience" {
  description = "Audience that a push's token must carry."
  type        = string
  nullable    = false
}

variable "concurrency" {
  description = "Requests an instance handles at once."
  type        = number
  default     = 80
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to remove the service."
  type        = bool
  default     = false
  nullable    = false
}

variable "env" {
  description = "Environment variables; an empty value counts as absent."
  type        = map(string)
  nullable    = false
}

variable "image" {
  description = "The service's image."
  type        = string
  nullable    = false
}

variable "max_instances" {
  description = "Instances at most."
  type        = number
  nullable    = false
}

variable "memory" {
  description = "Memory of an instance."
  type        = string
  default     = "512Mi"
  nullable    = false
}

variable "name" {
  description = "Name of the service."
  type        = string
  nullable    = false
}

variable "pubsub_agent" {
  description = "IAM member that Pub/Sub itself acts as in the project."
  type        = string
  nullable    = false
}

variable "push_service_account" {
  description = "E-mail of the account that signs the pushes."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Where the service runs."
  type        = string
  nullable    = false
}

variable "request_timeout" {
  description = "Seconds a request may take; no less than the longest ack deadline of the subscriptions."
  type        = number
  nullable    = false
}

variable "service_account" {
  description = "E-mail of the account the service runs as."
  type        = string
  nullable    = false
}

variable "subscriptions" {
  description = "The push subscriptions by name, as topology.json describes them."
  type = map(object({
    topic                 = string
    ack_deadline          = number
    min_backoff           = number
    max_backoff           = number
    max_delivery_attempts = number
    dead_letter_topic     = string
  }))
  nullable = false
}

variable "topic_ids" {
  description = "Ids of the topics by name."
  type        = map(string)
  nullable    = false
}
