"""Bare git repositories, driven through the `git` binary."""
