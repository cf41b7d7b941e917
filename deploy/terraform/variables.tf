variable "name" {
  description = "Of the load balancer."
  type        = string
  default     = "lbctl"
}

variable "vpc_id" {
  description = "Where the nodes are."
  type        = string
}

variable "subnet_ids" {
  description = "Where the load balancer is: one subnet for each zone; public ones unless it is internal."
  type        = list(string)
}

variable "internal" {
  description = "Reached from inside the VPC alone."
  type        = bool
  default     = false
}

variable "client_cidr_blocks" {
  description = "Who may come."
  type        = set(string)
  default     = ["0.0.0.0/0"]
}

variable "node_security_group_id" {
  description = "Of the nodes; it gets a rule that lets the load balancer in."
  type        = string
}

variable "autoscaling_group_names" {
  description = "Of the nodes."
  type        = set(string)
}

variable "node_port" {
  description = "Of lbctl's Service: the port that speaks the PROXY protocol."
  type        = number
  default     = 31001
}

variable "certificate_arn" {
  description = "Of ACM, for TLS on port 443. null: port 80 alone."
  type        = string
  default     = null
}

variable "ssl_policy" {
  description = "Which TLS is spoken."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-2021-06"
}

variable "tags" {
  description = "Of all that is made here."
  type        = map(string)
  default     = {}
}
