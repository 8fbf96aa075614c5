#!/bin/sh
# The tests need a real browser and a real Postgres. As root on Debian: install what is missing.
set -eu

missing=""
command -v chromium >/dev/null 2>&1 || missing="chromium"
if [ -z "${PLAINSIGHT_TEST_POSTGRES_URL:-}" ] && ! command -v initdb >/dev/null 2>&1 &&
    ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing $missing ..."
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "The tests need: $missing. Install them (Debian: sudo apt-get install $missing) and run make test again."
    exit 2
fi
