"""Tests of the engines, one file for each."""
