"""REWARD ALLOCATION & DISTRIBUTION: time-weighted shares -> allocations -> CREDIT_REWARD."""
