"""A split model in an app's life: answers that are left, are drawn or run out of time, scores, ejecting, loading."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from models.domain.engine import Prompt
from models.domain.messages import Delta, Sampling, Scored

ROOT = Path(__file__).parents[4]
GREEDY, DRAWN = Sampling(max_new_tokens=20, temperature=0), Sampling(max_new_tokens=20, seed=3)
# What the app does at its start, then what is done below; the last lines are what the first process answers.
LIFE = """
import json, sys
sys.path[:0] = [{root!r}, {tests!r}]
from models.cli.processes import served_in_processes
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.engines.transformers.split import open_split
from models.system.launching import end_with_parent
from models.system.ranks import take_place
from test_split import lived

end_with_parent()
place = take_place()
settings = served_in_processes(Settings(processes=2, context=512, threads=1), place, {script!r})
snapshot = Snapshot({folder!r}, "safetensors", "converted", 0)
print(json.dumps(lived(lambda: open_split(snapshot, "fp32", "cpu", settings, lambda progress: None))))
"""


def text(engine, prompt, sampling, **how):
    deltas = list(engine.generate(Prompt(prompt), sampling, **how))
    return "".join(delta.text for delta in deltas if isinstance(delta, Delta)), deltas[-1].usage.finish


def lived(open_engine):
    engine = open_engine()
    said = [text(engine, "Once upon a time", GREEDY)]
    with closing(engine.generate(Prompt("There was"), GREEDY)) as deltas:
        next(deltas), next(deltas)
    said += [text(engine, "There was a fox", GREEDY, time_limit_s=0.0)[1:]]
    said += [text(engine, "There was a crow", DRAWN), text(engine, "There was a fox", GREEDY, rows=((), ()))]
    *_, scored = engine.score(Prompt("Once upon a time there was a fox and a crow."))
    assert isinstance(scored, Scored)
    said += [[round(value, 3) for value in scored.log_probabilities]]
    size = engine.bytes
    engine.close()
    engine = open_engine()
    said += [text(engine, "Once upon a time", GREEDY)]
    engine.close()
    return [said, size]


@pytest.mark.slow
def test_a_split_model_does_what_a_whole_one_does(tiny_folder, opened, tmp_path):
    script = tmp_path / "life.py"
    places = {"root": str(ROOT), "tests": str(Path(__file__).parent), "folder": str(tiny_folder)}
    script.write_text(LIFE.format(script=str(script), **places))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PADDOCK_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said, held = json.loads(done.stdout.splitlines()[-1])
    whole, size = json.loads(json.dumps(lived(lambda: opened(tiny_folder, context=512))))
    assert said == whole
    assert held < size
