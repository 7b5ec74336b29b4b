"""What is compared: ours, scikit-learn and SciPy, and peers in an environment of their own."""
