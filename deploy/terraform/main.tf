# A Network Load Balancer before lbctl's NodePorts. It ends TLS, and says by the PROXY protocol (v2) who
# the client is and which port he dialled: lb.yaml has http.accept_proxy (deploy/kubernetes/overlays/example).
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

resource "aws_security_group" "lbctl" {
  name_prefix = "${var.name}-"
  description = "Clients of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = {
    for pair in setproduct(var.client_cidr_blocks, var.certificate_arn == null ? [80] : [80, 443]) :
    "${pair[0]} ${pair[1]}" => { cidr = pair[0], port = pair[1] }
  }

  security_group_id = aws_security_group.lbctl.id
  description       = "Clients"
  ip_protocol       = "tcp"
  cidr_ipv4         = each.value.cidr
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id            = aws_security_group.lbctl.id
  description                  = "The NodePort, which is also what is checked"
  ip_protocol                  = "tcp"
  referenced_security_group_id = var.node_security_group_id
  from_port                    = var.node_port
  to_port                      = var.node_port
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = var.node_security_group_id
  description                  = "${var.name}: the PROXY protocol is believed, so nobody else may speak it"
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.lbctl.id
  from_port                    = var.node_port
  to_port                      = var.node_port
}

resource "aws_lb" "lbctl" {
  name                             = var.name
  load_balancer_type               = "network"
  internal                         = var.internal
  subnets                          = var.subnet_ids
  security_groups                  = [aws_security_group.lbctl.id]
  enable_cross_zone_load_balancing = true
  tags                             = var.tags
}

resource "aws_lb_target_group" "proxied" {
  name_prefix       = "lbctl-"
  vpc_id            = var.vpc_id
  target_type       = "instance"
  port              = var.node_port
  protocol          = "TCP"
  proxy_protocol_v2 = true
  # The PROXY protocol says it; a node that answers its own pods would get lost else.
  preserve_client_ip   = false
  deregistration_delay = 30
  tags                 = var.tags

  # With externalTrafficPolicy: Local a node without a pod refuses, and gets nothing.
  health_check {
    protocol            = "TCP"
    port                = "traffic-port"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_attachment" "nodes" {
  for_each = var.autoscaling_group_names

  autoscaling_group_name = each.value
  lb_target_group_arn    = aws_lb_target_group.proxied.arn
}

# Sent to https by lbctl: the port that was dialled is not 443.
resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.lbctl.arn
  port              = 80
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.proxied.arn
  }
}

resource "aws_lb_listener" "https" {
  count = var.certificate_arn == null ? 0 : 1

  load_balancer_arn = aws_lb.lbctl.arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.ssl_policy

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.proxied.arn
  }
}
