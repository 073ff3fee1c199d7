"""Logs, metrics and masking.

Others use:

- `metrics`: the metrics, each by its name
- `telemetry`: the log; `telemetry.mask`, the second line of defence in every line of it
"""
