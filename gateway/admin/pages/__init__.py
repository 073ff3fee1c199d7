"""The pages of the admin port, one module for each with its endpoints, and a template.

Others use the classes with endpoints (`CutoverPages`, `LoginPages`, `MessagePages`, `OverridePages`, `OverviewPages`,
`ReportPages`), and of `render` what stands around every page: `counting` and `refusal_page`.
"""
