"""What all four reference applications do alike: settings from the environment, one form of log line."""
