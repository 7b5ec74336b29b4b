"""What may be claimed: errors on rows that no fit has seen, beside other models."""
