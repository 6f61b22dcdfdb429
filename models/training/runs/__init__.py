"""Trainings that go on by themselves: each a process of its own, with a folder that says all of it."""
