# The study server, without PyTorch. Settings are in docs/operations.md.
FROM python:3.13-slim

WORKDIR /srv/plainsight
RUN useradd --system --home-dir /srv/plainsight plainsight \
    && mkdir /data && chown plainsight /data

COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY ml ml
COPY migrations migrations
COPY templates templates
COPY static static
RUN pip install --no-cache-dir --constraint constraints.txt --editable .

USER plainsight
ENV PLAINSIGHT_HOME=/data
VOLUME /data
EXPOSE 8000
CMD ["sh", "-c", "plainsight db upgrade && exec plainsight serve --host 0.0.0.0"]
