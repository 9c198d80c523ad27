# One file for all services: docker build --build-arg SERVICE=scheduler --build-arg BASE=python:3.12-slim@sha256:… .
#
# BASE has no default on purpose: a tag moves, so whoever builds names the digest. Cloud Build looks it up once for all
# of them (cloudbuild.yaml).
#
# checkov:skip=CKV_DOCKER_2: Cloud Run asks /health/live itself (infra/modules/push_service) and heeds no HEALTHCHECK
# checkov:skip=CKV_DOCKER_7: BASE is a digest, which checkov does not see
ARG BASE

# hadolint ignore=DL3006
FROM ${BASE} AS packages
WORKDIR /build
COPY requirements/__init__.py requirements/find_uv.py requirements/install.py requirements/uv.txt requirements/build.txt \
     requirements/services.txt requirements/
RUN python -m requirements.install /packages services

# The dashboard: docker build --target dashboard --build-arg BASE=… .
#
# hadolint ignore=DL3006
FROM ${BASE} AS dashboard-packages
WORKDIR /build
COPY requirements/__init__.py requirements/find_uv.py requirements/install.py requirements/uv.txt requirements/build.txt \
     requirements/dashboard.txt requirements/
RUN python -m requirements.install /packages dashboard

# hadolint ignore=DL3006
FROM ${BASE} AS dashboard
LABEL org.opencontainers.image.title="new-releases dashboard" \
      org.opencontainers.image.licenses="see LICENSE"
ENV PATH="/packages/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --no-create-home service
COPY --from=dashboard-packages /packages /packages
WORKDIR /app
COPY LICENSE ./
COPY contracts contracts
COPY eventing eventing
COPY runs runs
COPY dashboard dashboard
USER 10001
EXPOSE 8080
ENTRYPOINT ["python", "-m", "dashboard"]

# hadolint ignore=DL3006
FROM ${BASE}
ARG SERVICE
LABEL org.opencontainers.image.title="new-releases ${SERVICE}" \
      org.opencontainers.image.licenses="see LICENSE"
ENV PATH="/packages/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SERVICE=${SERVICE}
# An empty SERVICE would copy all of them and start none.
RUN test -n "${SERVICE}" && useradd --system --uid 10001 --no-create-home service
COPY --from=packages /packages /packages
WORKDIR /app
COPY LICENSE ./
COPY contracts contracts
COPY eventing eventing
COPY services/__init__.py services/__init__.py
COPY services/${SERVICE} services/${SERVICE}
USER 10001
EXPOSE 8080
# The shell is there for the name alone and gives way to Python, which then gets the SIGTERM.
ENTRYPOINT ["sh", "-c", "exec python -m services.${SERVICE}"]
