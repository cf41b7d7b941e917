"""lbctl: two Linux hosts, one highly available load balancer."""

__version__ = "0.1.0"
