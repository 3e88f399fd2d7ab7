"""What ``live.py`` asks of a service whose answers nobody here knows, and how it is asked."""
