"""The scikit-learn façade."""
