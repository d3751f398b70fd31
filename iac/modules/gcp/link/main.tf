# The private way to the VPC on AWS: an HA VPN, four tunnels over two gateways on each side, routes by BGP.
# AWS makes the tunnels' keys, so that they are rotated there; they stay in the state, which is encrypted.

resource "google_compute_ha_vpn_gateway" "this" {
  project = var.project
  name    = "${var.name}-aws"
  region  = var.region
  network = var.network_id

  # Both are made anyway; written out, their addresses can be named below before they exist.
  vpn_interfaces {
    id = 0
  }

  vpn_interfaces {
    id = 1
  }
}

resource "aws_vpn_gateway" "this" {
  vpc_id          = var.vpc_id
  amazon_side_asn = var.aws_asn

  tags = { Name = "${var.name}-analytics" }
}

# The brokers' subnets learn the way back to the analytics network, and no way to anywhere else.
resource "aws_vpn_gateway_route_propagation" "this" {
  vpn_gateway_id = aws_vpn_gateway.this.id
  route_table_id = var.route_table_id
}

resource "aws_customer_gateway" "this" {
  count = 2

  bgp_asn    = var.asn
  ip_address = google_compute_ha_vpn_gateway.this.vpn_interfaces[count.index].ip_address
  type       = "ipsec.1"

  tags = { Name = "${var.name}-analytics-${count.index}" }
}

resource "aws_vpn_connection" "this" {
  count = 2

  vpn_gateway_id      = aws_vpn_gateway.this.id
  customer_gateway_id = aws_customer_gateway.this[count.index].id
  type                = "ipsec.1"
  static_routes_only  = false

  tunnel1_ike_versions                 = ["ikev2"]
  tunnel1_phase1_encryption_algorithms = ["AES256-GCM-16"]
  tunnel1_phase1_integrity_algorithms  = ["SHA2-256", "SHA2-512"]
  tunnel1_phase1_dh_group_numbers      = [14, 19, 20]
  tunnel1_phase2_encryption_algorithms = ["AES256-GCM-16"]
  tunnel1_phase2_integrity_algorithms  = ["SHA2-256", "SHA2-512"]
  tunnel1_phase2_dh_group_numbers      = [14, 19, 20]

  tunnel2_ike_versions                 = ["ikev2"]
  tunnel2_phase1_encryption_algorithms = ["AES256-GCM-16"]
  tunnel2_phase1_integrity_algorithms  = ["SHA2-256", "SHA2-512"]
  tunnel2_phase1_dh_group_numbers      = [14, 19, 20]
  tunnel2_phase2_encryption_algorithms = ["AES256-GCM-16"]
  tunnel2_phase2_integrity_algorithms  = ["SHA2-256", "SHA2-512"]
  tunnel2_phase2_dh_group_numbers      = [14, 19, 20]

  tags = { Name = "${var.name}-analytics-${count.index}" }
}

# Each connection ends in two addresses on AWS. Tunnel i leaves from our interface i / 2, as AWS expects it.
locals {
  tunnels = [
    for i in range(4) : {
      interface = floor(i / 2)
      address   = i % 2 == 0 ? aws_vpn_connection.this[floor(i / 2)].tunnel1_address : aws_vpn_connection.this[floor(i / 2)].tunnel2_address
      secret    = i % 2 == 0 ? aws_vpn_connection.this[floor(i / 2)].tunnel1_preshared_key : aws_vpn_connection.this[floor(i / 2)].tunnel2_preshared_key
      ours      = i % 2 == 0 ? aws_vpn_connection.this[floor(i / 2)].tunnel1_cgw_inside_address : aws_vpn_connection.this[floor(i / 2)].tunnel2_cgw_inside_address
      theirs    = i % 2 == 0 ? aws_vpn_connection.this[floor(i / 2)].tunnel1_vgw_inside_address : aws_vpn_connection.this[floor(i / 2)].tunnel2_vgw_inside_address
    }
  ]
}

resource "google_compute_external_vpn_gateway" "this" {
  project         = var.project
  name            = "${var.name}-aws"
  redundancy_type = "FOUR_IPS_REDUNDANCY"

  dynamic "interface" {
    for_each = local.tunnels

    content {
      id         = interface.key
      ip_address = interface.value.address
    }
  }
}

resource "google_compute_vpn_tunnel" "this" {
  count = 4

  project                         = var.project
  name                            = "${var.name}-aws-${count.index}"
  region                          = var.region
  router                          = var.router_name
  ike_version                     = 2
  shared_secret                   = local.tunnels[count.index].secret
  vpn_gateway                     = google_compute_ha_vpn_gateway.this.id
  vpn_gateway_interface           = local.tunnels[count.index].interface
  peer_external_gateway           = google_compute_external_vpn_gateway.this.id
  peer_external_gateway_interface = count.index
}

resource "google_compute_router_interface" "this" {
  count = 4

  project    = var.project
  name       = "${var.name}-aws-${count.index}"
  region     = var.region
  router     = var.router_name
  ip_range   = "${local.tunnels[count.index].ours}/30"
  vpn_tunnel = google_compute_vpn_tunnel.this[count.index].name
}

# Only the VPC's block is taken from AWS: a wrong route over there cannot draw other traffic in.
resource "google_compute_router_peer" "this" {
  count = 4

  project         = var.project
  name            = "${var.name}-aws-${count.index}"
  region          = var.region
  router          = var.router_name
  interface       = google_compute_router_interface.this[count.index].name
  peer_ip_address = local.tunnels[count.index].theirs
  peer_asn        = var.aws_asn

  import_policies = [google_compute_router_route_policy.this.name]
}

resource "google_compute_router_route_policy" "this" {
  project = var.project
  name    = "${var.name}-aws"
  region  = var.region
  router  = var.router_name
  type    = "ROUTE_POLICY_TYPE_IMPORT"

  terms {
    priority = 1

    match {
      expression = "destination.inAnyRange(prefix('${var.vpc_cidr}').orLonger())"
    }

    actions {
      expression = "accept()"
    }
  }

  terms {
    priority = 2

    match {
      expression = "destination.inAnyRange(prefix('0.0.0.0/0').orLonger())"
    }

    actions {
      expression = "drop()"
    }
  }
}
