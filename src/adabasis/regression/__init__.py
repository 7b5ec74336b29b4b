"""Numbers: points and values in, a fitted function out."""
