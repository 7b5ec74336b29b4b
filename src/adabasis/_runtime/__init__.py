"""What every module may use: errors, notation, float64 scope, compilation, progress."""
