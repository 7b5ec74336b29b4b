"""Partition of unity networks: pieces are found first, then trained."""
