"""A science package for the tests of the lifecycle, so that they don't depend on yours."""
