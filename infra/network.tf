# The cluster has internal addresses only: it reaches Google's services by Private Google Access, and nothing else.
resource "google_compute_network" "this" {
  name                    = "new-releases"
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "cluster" {
  #checkov:skip=CKV_GCP_26:one machine for some minutes a week, without a way in or out; flow logs would tell nothing
  #checkov:skip=CKV_GCP_76:the network has no IPv6
  name                     = "new-releases-cluster"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = "10.10.0.0/24"
  private_ip_google_access = true
}

# Dataproc asks that the machines of a cluster reach each other on every port; nobody else reaches them.
resource "google_compute_firewall" "within_cluster" {
  name                    = "new-releases-within-cluster"
  network                 = google_compute_network.this.id
  direction               = "INGRESS"
  source_service_accounts = [google_service_account.cluster.email]
  target_service_accounts = [google_service_account.cluster.email]

  allow {
    protocol = "tcp"
  }

  allow {
    protocol = "udp"
  }

  allow {
    protocol = "icmp"
  }
}
