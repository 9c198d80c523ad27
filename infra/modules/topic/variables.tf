variable "dead_letter_retention" {
  description = "How long a dead letter is kept, recorded or not, in seconds; 31 days are the most there is."
  type        = string
  default     = "2678400s"
  nullable    = false
}

variable "name" {
  description = "Name of the topic."
  type        = string
  nullable    = false
}

variable "publishers" {
  description = "Who may publish: IAM members by a name of their own."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "pubsub_agent" {
  description = "IAM member that Pub/Sub itself acts as in the project."
  type        = string
  nullable    = false
}

variable "pull_subscriptions" {
  description = "Names of the subscriptions a person pulls from."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "pushed" {
  description = "Whether a push subscription takes what comes."
  type        = bool
  default     = false
  nullable    = false
}

variable "region" {
  description = "Region that messages are stored in."
  type        = string
  nullable    = false
}

variable "retention" {
  description = "How long a message that nobody acknowledged is kept, in seconds, such as 604800s."
  type        = string
  default     = "604800s"
  nullable    = false
}

variable "takes_dead_letters" {
  description = "Whether messages that could not be delivered elsewhere end here."
  type        = bool
  default     = false
  nullable    = false
}

variable "viewers" {
  description = "Who may look whether the topic exists: IAM members by a name of their own."
  type        = map(string)
  default     = {}
  nullable    = false
}
