"""Partitions of unity, local polynomials, and the bases made of both."""
