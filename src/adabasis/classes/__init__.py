"""Classification: labels in, probabilities out, by the same bases, searches and trainers."""
