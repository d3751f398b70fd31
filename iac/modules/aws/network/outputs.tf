output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets of the nodes, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
}

output "data_subnet_ids" {
  description = "Subnets of databases and brokers, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.data[zone].id]
}

output "workloads_security_group_id" {
  description = "Security group of the nodes."
  value       = aws_security_group.workloads.id
}

output "balancer_security_group_id" {
  description = "Security group for the ingress annotation `alb.ingress.kubernetes.io/security-groups`."
  value       = aws_security_group.balancer.id
}

output "data_route_table_id" {
  description = "Route table of the data subnets, for routes of a private link."
  value       = aws_route_table.data.id
}
