# phiserve in a container.
#   docker build --target cpu -t phiserve:cpu .    docker run -p 8000:8000 phiserve:cpu
#   docker build --target gpu -t phiserve:gpu .    docker run --gpus all -p 8000:8000 phiserve:gpu --config configs/l4.yaml
# Not run where this was written, for want of a container engine and a GPU.

FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libnuma1 make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home phiserve \
    && install --directory --owner phiserve --mode 0700 /state
WORKDIR /app
ENV PHISERVE_HOST=0.0.0.0 XDG_STATE_HOME=/state PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
EXPOSE 8000
# Stored responses and files, in /state/phiserve; by PHISERVE_STATE_URL and PHISERVE_FILES_URL elsewhere
VOLUME /state
HEALTHCHECK --start-period=10m CMD \
    ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=10)"]

FROM base AS cpu
COPY Makefile pyproject.toml LICENSE NOTICE README.md ./
COPY requirements requirements
COPY server server
COPY configs configs
RUN make .venv/.runtime
USER phiserve
ENTRYPOINT ["/app/.venv/bin/phiserve", "serve"]

FROM base AS gpu
COPY pyproject.toml LICENSE NOTICE README.md ./
COPY server server
COPY configs configs
RUN pip install '.[gpu]'
USER phiserve
ENTRYPOINT ["phiserve", "serve"]
