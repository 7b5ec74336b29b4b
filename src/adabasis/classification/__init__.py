"""Classes: points and labels in, probabilities out."""
