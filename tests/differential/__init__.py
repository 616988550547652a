"""The two worlds compared: each scenario on every driver, side by side."""
