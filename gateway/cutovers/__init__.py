"""Cutovers: plans that are checked, approved for exactly their content, switched at their time, watched, finished or rolled back."""
