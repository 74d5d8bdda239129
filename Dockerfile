# The image: the program, the libraries it links and certificates; nothing else that postlane needs.
#   docker build -t postlane:0.1.0 .
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends make git
WORKDIR /src
# The packages come first: they change less often than the sources.
COPY Makefile packages.txt ./
COPY .ci .ci
RUN make install
COPY . .
# Without the places at which tests let the program die.
RUN cmake --preset release -DPOSTLANE_CRASH_POINTS=OFF && make build && strip --strip-debug build/postlane && build/postlane version

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates libboost-json1.81.0 libboost-url1.81.0 libcurl4 libfmt9 libidn2-0 \
        libjemalloc2 libprometheus-cpp-core1.0 librdkafka1 librocksdb7.8 libsimdjson14 libspdlog1.10 libssl3 \
        libtomlplusplus3 libxxhash0 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 65532 postlane \
    && useradd --system --uid 65532 --gid 65532 --no-create-home --shell /usr/sbin/nologin postlane \
    && install -d -o 65532 -g 65532 /var/lib/postlane
COPY --from=build /src/build/postlane /usr/bin/postlane
USER 65532:65532
VOLUME /var/lib/postlane
EXPOSE 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/postlane"]
CMD ["run", "-c", "/etc/postlane/postlane.toml"]
