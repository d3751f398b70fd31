output "id" {
  description = "The network."
  value       = google_compute_network.this.id
}

output "subnet_id" {
  description = "The subnet."
  value       = google_compute_subnetwork.this.id
}

output "router_name" {
  description = "The router, for NAT and for a link's BGP sessions."
  value       = google_compute_router.this.name
}

output "node_tag" {
  description = "Tag of the nodes that may speak to each other."
  value       = local.tag
}
