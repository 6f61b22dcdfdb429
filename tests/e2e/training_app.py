"""The app whose trainings do not give way: on a machine that tests other things they would take minutes to load."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import app
from models.training.runs import process

if __name__ == "__main__":
    process.NICE = 0
    app.main()
