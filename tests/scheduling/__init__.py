"""Tests of `scheduling`."""
