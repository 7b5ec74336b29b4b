"""Where things are: domains, points with weights, samplers, functions of the coordinates."""
