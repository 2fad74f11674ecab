# syntax=docker/dockerfile:1
#
# Images of seqexp-tf; docs/docker.md is the guide.
#
#   docker build --target gpu --tag seqexp-tf:gpu .
#   docker build --target cpu --tag seqexp-tf:cpu .
#
# Both stand on the slim image of Python. CUDA, cuDNN and NCCL come with the wheels that
# TensorFlow itself asks for (extra "gpu"): the versions it was built for, pinned in
# constraints.txt like everything else. An image of CUDA would bring a second set of them
# that TensorFlow does not look at, and TensorFlow's own GPU image another Python. All
# that the host gives is the driver, through the NVIDIA container toolkit.

ARG PYTHON=3.11
ARG DEBIAN=bookworm

FROM python:${PYTHON}-slim-${DEBIAN} AS base
ENV PATH=/opt/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1
# Debian keeps one version of a package at a time: a pinned one is soon not to be had.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/*

# What the package needs, without the package: built anew when a requirement changes,
# not when a line of code does. Without the extra "peaks": MACS3 has to be compiled.
FROM base AS cpu-packages
WORKDIR /build
COPY constraints.txt setup.cfg pyproject.toml LICENSE ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv \
    && pip install --constraint constraints.txt ".[hic,remote,serving]"

FROM cpu-packages AS gpu-packages
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt ".[gpu,hic,remote,serving]"

FROM base AS wheel
WORKDIR /build
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY seqexp_tf seqexp_tf
RUN python3 -m venv /opt/venv \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM base AS runtime
# One GPU may be asked twice at once: by a training and by the health check.
ENV KERAS_HOME=/tmp/keras \
    MPLCONFIGDIR=/tmp/matplotlib \
    TF_FORCE_GPU_ALLOW_GROWTH=true
RUN useradd --create-home --uid 1000 seqexp
WORKDIR /workspace
# Without tini nothing in a container would end at the first SIGTERM.
ENTRYPOINT ["tini", "--", "seqexp-tf"]
CMD ["--help"]
# It times a training step, hence seldom: soon after the start, then every hour.
HEALTHCHECK --interval=1h --timeout=5m --start-period=10m --start-interval=1m --retries=2 \
    CMD ["seqexp-tf", "doctor"]

FROM runtime AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-packages /opt/venv /opt/venv
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --force-reinstall /wheels/*.whl
USER 1000

FROM runtime AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --force-reinstall /wheels/*.whl
USER 1000
