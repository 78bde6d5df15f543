"""From localizations to a finished table: filtering, linking, drift, fiducials, registration, quality."""
