#!/usr/bin/env bash
# Installs the Chromium that the tests of pages drive, on Debian and Ubuntu. Run again, it does nothing.
set -euo pipefail
for name in chromium chromium-browser google-chrome chrome; do
  command -v "$name" >/dev/null && exit 0
done
command -v apt-get >/dev/null || { echo "install Chromium: there is no apt-get here" >&2; exit 1; }
[[ $(id -u) == 0 ]] || { echo "install Chromium as root: apt-get install chromium" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
patience=(-o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o Acquire::Retries=1)
apt-get update -qq "${patience[@]}"
apt-get install -y -qq "${patience[@]}" --no-install-recommends chromium >/dev/null
