output "dns_name" {
  description = "Of the load balancer: what a CNAME, or an alias, of yours points to."
  value       = aws_lb.lbctl.dns_name
}

output "zone_id" {
  description = "Of its name, for an alias in Route 53."
  value       = aws_lb.lbctl.zone_id
}

output "target_group_arn" {
  description = "For nodes that are in no autoscaling group."
  value       = aws_lb_target_group.proxied.arn
}
