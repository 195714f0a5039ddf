# docker build -t qserver . && docker run -p 7711:7711 -v qserver-data:/data -e QSERVER_TOKEN=… qserver
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY qserver qserver
COPY qclient qclient
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir '.[fast,web]'

FROM python:3.13-slim
RUN useradd --system --home /data qserver && install -d -o qserver -m 700 /data
COPY --from=build /venv /venv
USER qserver
VOLUME /data
EXPOSE 7711
ENV PATH=/venv/bin:$PATH QSERVER_HOST=0.0.0.0 QSERVER_DATA=/data
STOPSIGNAL SIGTERM
HEALTHCHECK CMD QCLIENT_TOKEN="$QSERVER_TOKEN" QCLIENT_TOKEN_FILE="$QSERVER_TOKEN_FILE" qclient ping
ENTRYPOINT ["qserver"]
