# The Elastic Load Balancer of "Running HAProxy on Docker Containers in Kubernetes" (2017) in the syntax
# of today: for deploy/kubernetes/overlays/article, whose port 9000 speaks the PROXY protocol (v1) and
# whose port 8000 does not. New ones are Network Load Balancers: the directory above.
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "vpc_id" {
  description = "Where the nodes are."
  type        = string
}

variable "subnet_ids" {
  description = "Where the load balancer is."
  type        = list(string)
}

variable "certificate_arn" {
  description = "For TLS on port 443."
  type        = string
}

variable "autoscaling_group_names" {
  description = "Of the nodes."
  type        = set(string)
}

resource "aws_security_group" "app_elb" {
  name        = "app-elb"
  description = "security group for app.example.com elb"
  vpc_id      = var.vpc_id

  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  ingress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_elb" "app" {
  name                      = "app"
  subnets                   = var.subnet_ids
  internal                  = false
  security_groups           = [aws_security_group.app_elb.id]
  cross_zone_load_balancing = true
  idle_timeout              = 60

  listener {
    instance_port     = 31000
    instance_protocol = "tcp"
    lb_port           = 80
    lb_protocol       = "tcp"
  }

  listener {
    instance_port      = 31001
    instance_protocol  = "tcp"
    lb_port            = 443
    lb_protocol        = "ssl"
    ssl_certificate_id = var.certificate_arn
  }

  health_check {
    healthy_threshold   = 2
    unhealthy_threshold = 6
    timeout             = 5
    target              = "TCP:31001"
    interval            = 10
  }
}

resource "aws_proxy_protocol_policy" "app_elb" {
  load_balancer  = aws_elb.app.name
  instance_ports = ["31001"]
}

resource "aws_autoscaling_attachment" "nodes" {
  for_each = var.autoscaling_group_names

  autoscaling_group_name = each.value
  elb                    = aws_elb.app.name
}
