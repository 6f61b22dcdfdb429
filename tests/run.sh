#!/usr/bin/env bash
# Everything that has to hold, on a fresh machine: installs what the tests need, checks style and types, runs the tests.
# Arguments go to pytest:  bash tests/run.sh -m ""   (the slow tests too, which are rarely needed)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${VIRTUAL_ENV:-}" ]; then
  [ -x .venv/bin/python ] || python3 -m venv .venv
  export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
python -m pip install --quiet -r requirements.txt -r tests/requirements.txt

# A browser: the one that is there, Debian's packages, or Playwright's own. The headless shell needs the least of the CPU.
has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1
if ! command -v chromium-headless-shell >/dev/null 2>&1; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq -o Acquire::http::Timeout=30 &&
      apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1 ||
      has_browser || apt-get install -y -qq --no-install-recommends chromium >/dev/null
  elif ! has_browser; then
    python -m playwright install chromium
  fi
fi

ruff check .
ruff format --check .
mypy
# The tests start hundreds of processes, which find our modules compiled.
unset PYTHONDONTWRITEBYTECODE
python -m compileall -q app.py models ui
# Two at a time, each with one thread: more would wait for each other.
export OMP_NUM_THREADS=1 PADDOCK_THREADS=1
python -m pytest --numprocesses 2 --dist loadfile --durations=12 "$@"
