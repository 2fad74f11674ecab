#!/usr/bin/env bash
# Serves an export by a real TensorFlow Serving container and checks everything that the
# tests check against their own server: answers, refusals, 64 clients, roll-over.
#
#   tools/serve_smoke.sh models/yeast/1 [OTHER_VERSION]
#
# OTHER_VERSION, by default the same folder, becomes the next version under load.
# Needs Docker, and Python with seqexp-tf[serving]. From the environment:
#   IMAGE    (tensorflow/serving)   SECONDS_OF_LOAD (60)   CLIENTS (64)   PYTHON (python)
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 ]]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
version=$(realpath "$1")
other=$(realpath "${2:-$1}")
image=${IMAGE:-tensorflow/serving}
python=${PYTHON:-python}
tools=$(dirname "$(realpath "$0")")

for folder in "$version" "$other"; do
  if [[ ! -f $folder/saved_model.pb ]]; then
    echo "$folder: no version of an export, saved_model.pb is missing" >&2
    exit 2
  fi
done
if ! docker info >/dev/null 2>&1; then
  echo "Docker does not run here: start its daemon, or run this where it does" >&2
  exit 3
fi

name=$(basename "$(dirname "$version")")
scratch=$(mktemp -d)
container=
cleanup() {
  if [[ -n $container ]]; then
    docker rm --force "$container" >/dev/null
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

mkdir -p "$scratch/models/$name"
cp -r "$version" "$scratch/models/$name/1"
# The container reads as another user.
chmod -R a+rX "$scratch"
container=$(docker run --detach \
  --publish 127.0.0.1::8500 --publish 127.0.0.1::8501 \
  --volume "$scratch/models:/models:ro" \
  "$image" \
  --model_name="$name" --model_base_path="/models/$name" \
  --file_system_poll_wait_seconds=1)
grpc=$(docker port "$container" 8500/tcp | head -n 1)
rest=$(docker port "$container" 8501/tcp | head -n 1)

echo "Waiting for $name on $rest"
for _ in $(seq 60); do
  if curl --silent --fail "http://$rest/v1/models/$name" | grep -q AVAILABLE; then
    ready=yes
    break
  fi
  sleep 1
done
if [[ -z ${ready:-} ]]; then
  echo "The model is not ready after a minute:" >&2
  docker logs "$container" >&2
  exit 1
fi

"$python" "$tools/serve_check.py" "$scratch/models/$name" \
  --grpc "$grpc" --rest "$rest" \
  --clients "${CLIENTS:-64}" --seconds "${SECONDS_OF_LOAD:-60}" \
  --roll-over "$other"
