#!/bin/sh
# What talkoff.py needs of the system: lists of packages, a voice, and the receiver that it compares with.
# Exit 1, with a sentence, where Debian's packages cannot be had at all.
for tool in apt-get dpkg-deb; do
  if ! command -v "$tool" >/dev/null; then
    echo "talk-off is skipped: its speech and music are Debian packages, and $tool is not here" >&2
    exit 1
  fi
done
if [ "$(id -u)" = 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  wait='-o DPkg::Lock::Timeout=300'
  # shellcheck disable=SC2086  # two words are meant
  apt-get update -qq $wait && apt-get install -y -qq --no-install-recommends $wait espeak-ng libspandsp2 >/dev/null
fi
command -v espeak-ng >/dev/null || echo "espeak-ng is missing: no synthetic voices (apt install espeak-ng)" >&2
exit 0
