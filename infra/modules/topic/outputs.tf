output "id" {
  description = "The topic as projects/PROJECT/topics/NAME; known once its publishers may publish."
  value       = google_pubsub_topic.this.id
  depends_on = [
    google_pubsub_topic_iam_member.publisher,
    google_pubsub_topic_iam_member.dead_letter_publisher,
  ]
}
