"""Rankings and what is done to them: kept as arrays, fused, watched stage by stage, widened."""
