"""lbctl: two Linux hosts, one highly available load balancer."""

__version__ = "0.2.0"
