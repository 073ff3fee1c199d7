"""The planner's logic without HTTP: overrides, panics, cutovers, rehearsal, report, simulation."""
