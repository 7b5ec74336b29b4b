"""Results: fitted functions and classifiers, their record, their files."""
