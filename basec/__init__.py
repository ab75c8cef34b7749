"""The operators' command line: bring an environment up, look at it, reach its hosts, take it down."""
