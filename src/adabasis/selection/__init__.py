"""One search for all public functions: data, candidates, budgets, the best of them."""
