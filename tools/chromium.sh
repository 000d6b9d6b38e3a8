#!/bin/sh
# Browser tests use Debian's Chromium. Root on Debian gets it here; anybody else is told the command.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

install='apt-get install --yes --no-install-recommends chromium'
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "There is no Chromium, so the browser tests are skipped; as root: $install" >&2
    exit 0
fi
echo "installing Chromium for the browser tests"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && $install -qq >/dev/null ||
    echo "Chromium could not be installed, so the browser tests are skipped: $install" >&2
