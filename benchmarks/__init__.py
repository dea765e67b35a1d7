"""Measurements that anyone can repeat with one command; none of them is a test."""
