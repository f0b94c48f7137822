/*
 * Load: requests that come when they come, whether or not those before them are answered, as those of many users do.
 *
 *     open-loop PORT CONNECTIONS REQUESTS_PER_SECOND SETTLE_SECONDS SECONDS
 *
 * It opens the connections, writes the line "open", and asks for "/" so often in a second, at moments of chance (a Poisson
 * process, the same in every run), each time on the next connection in a shuffled order that has no request under way. Where all
 * have one, the request waits; its time counts from the moment at which it was due, so that who is slow is not asked less.
 * At the end it writes {"requests","perSecond","p50Ms","p99Ms","underWayMax"}, of what was due after it had settled and was answered
 * before its end. Exit status 1, with the reason, when a connection fails, is closed, or answers with anything but 200.
 *
 * An answer must come in one piece, head and body, as the small ones do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  DESCRIPTORS_MAX = 65536,
  EVENTS_MAX = 256,
  BUFFER_BYTES = 65536,
};

static const int64_t SECOND_NS = 1000000000;

static int connections[DESCRIPTORS_MAX];
static int connection_count;
/* When its request was due, by descriptor; 0: it has none. */
static int64_t due_at[DESCRIPTORS_MAX];
static int next_connection;
static int under_way, under_way_max;
static int64_t counts_from;
static double *times_ms;
static size_t answered, answered_max;
static char request[128];
static size_t request_bytes;
static char buffer[BUFFER_BYTES];

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static void fail_with_errno(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * SECOND_NS + time.tv_nsec;
}

static void open_all(int poll_fd, int port, int wanted) {
  const struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (; connection_count < wanted; connection_count++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail_with_errno("socket");
    if (fd >= DESCRIPTORS_MAX) fail("too many connections");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) fail_with_errno("connect");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail_with_errno("epoll_ctl");
    connections[connection_count] = fd;
  }
  for (int at = connection_count - 1; at > 0; at--) {
    int other = (int)(drand48() * (at + 1));
    int fd = connections[at];
    connections[at] = connections[other];
    connections[other] = fd;
  }
}

/* False: all connections have a request under way. */
static int ask(int64_t due) {
  if (under_way == connection_count) return 0;
  for (;;) {
    int fd = connections[next_connection];
    next_connection = (next_connection + 1) % connection_count;
    if (due_at[fd] != 0) continue;
    if (send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) fail_with_errno("send");
    due_at[fd] = due;
    under_way++;
    if (due >= counts_from && under_way > under_way_max) under_way_max = under_way;
    return 1;
  }
}

static void take_answer(int fd) {
  ssize_t received = recv(fd, buffer, sizeof buffer - 1, 0);
  if (received < 0) fail_with_errno("recv");
  if (received == 0) fail("a connection was closed");
  /* What is left of an answer before it does not count. */
  buffer[received] = '\0';
  if (due_at[fd] == 0 || strncmp(buffer, "HTTP/1.1 200 ", 13) != 0) {
    fprintf(stderr, "answered with: %.*s\n", (int)strcspn(buffer, "\r"), buffer);
    exit(1);
  }
  if (due_at[fd] >= counts_from && answered < answered_max) times_ms[answered++] = (double)(now_ns() - due_at[fd]) / 1e6;
  due_at[fd] = 0;
  under_way--;
}

static int by_number(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return difference < 0 ? -1 : difference > 0;
}

int main(int count, char **values) {
  if (count != 6) fail("open-loop PORT CONNECTIONS REQUESTS_PER_SECOND SETTLE_SECONDS SECONDS");
  const int port = atoi(values[1]);
  const double rate = atof(values[3]), settle = atof(values[4]), seconds = atof(values[5]);
  request_bytes = (size_t)snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port);
  answered_max = (size_t)(2 * rate * seconds) + 1000;
  times_ms = malloc(answered_max * sizeof *times_ms);
  int poll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (times_ms == NULL || poll_fd < 0) fail_with_errno("start");
  srand48(1);
  open_all(poll_fd, port, atoi(values[2]));
  puts("open");
  fflush(stdout);

  const int64_t start = now_ns();
  counts_from = start + (int64_t)(settle * (double)SECOND_NS);
  const int64_t end = counts_from + (int64_t)(seconds * (double)SECOND_NS);
  int64_t due = start;
  for (int64_t now = start; now < end; now = now_ns()) {
    while (due <= now && ask(due)) due += (int64_t)(-log(1 - drand48()) / rate * (double)SECOND_NS);
    int64_t left = due - now_ns();
    /* Something is due, and an answer must come first. */
    if (due <= now) left = SECOND_NS;
    if (left < 0) left = 0;
    struct timespec timeout = {.tv_sec = left / SECOND_NS, .tv_nsec = left % SECOND_NS};
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_pwait2(poll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (ready < 0 && errno != EINTR) fail_with_errno("epoll_pwait2");
    for (int at = 0; at < ready; at++) take_answer(events[at].data.fd);
  }
  if (answered == 0) fail("no answer came");
  qsort(times_ms, answered, sizeof *times_ms, by_number);
  printf("{\"requests\":%zu,\"perSecond\":%.1f,\"p50Ms\":%.4f,\"p99Ms\":%.4f,\"underWayMax\":%d}\n", answered,
         (double)answered / seconds, times_ms[answered / 2], times_ms[answered * 99 / 100], under_way_max);
  return 0;
}
