#!/usr/bin/env bash
# Installs the Chromium that the tests of pages drive, on Debian and Ubuntu. Run again, it does nothing.
set -euo pipefail
for name in chromium chromium-browser google-chrome chrome; do
  command -v "$name" >/dev/null && exit 0
done
command -v apt-get >/dev/null || { echo "install Chromium: there is no apt-get here" >&2; exit 1; }
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium >/dev/null
