"""Pieces of data, as labels of points: where partition of unity networks start from."""
