output "tunnels" {
  description = "Names of the tunnels, for alarms."
  value       = google_compute_vpn_tunnel.this[*].name
}
