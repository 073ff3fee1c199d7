"""Logs, metrics and masking.

Others use:

- `telemetry`: the metrics, each by its name; `telemetry.mask`, the second line of defence in every log line.
"""
