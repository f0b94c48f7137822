/*
 * The floor of what an HTTP relay costs: one receive and one send for each request and for each answer, and nothing else.
 *
 *     floor PORT ORIGIN_PORT [WORKERS]
 *
 * It listens on 127.0.0.1:PORT and passes whatever a client sends to 127.0.0.1:ORIGIN_PORT, and what the origin answers
 * back. It reads no head: what it receives from a client is part of a request until an answer has come, and each piece from
 * the origin is part of that answer; the answer is over, and its connection free for the next request of anyone,
 * when as much has come as the first piece's Content-Length says (without one, with the first piece). So it is right for
 * what the bench sends it - one request at a time, answered after its end, with a head that comes in one piece - and it is
 * no proxy. No peer can do with fewer system calls; what a proxy costs above this line is its own work.
 *
 * Level-triggered epoll, non-blocking sockets, a stack of idle connections to the origin. A client that closes takes its
 * connection to the origin along when that is busy; an origin that closes takes its client along. Several workers are as many
 * processes, each with a listener of its own (SO_REUSEPORT), and end with the first one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  DESCRIPTORS_MAX = 65536,
  EVENTS_MAX = 256,
  BUFFER_BYTES = 65536,
  BACKLOG = 4096,
  NONE = -1,
};

/* What is known of a descriptor, at its number. */
struct side {
  bool open;
  bool is_origin;
  int peer;               /* the other side of a request under way, or NONE */
  long long answer_left;  /* of an origin: bytes of the answer still to come; -1 before its first piece */
  char *unsent;           /* what the socket did not take, in memory of its own; while there is any, the peer is not read */
  size_t unsent_bytes;
};

static struct side sides[DESCRIPTORS_MAX];
static int idle[DESCRIPTORS_MAX];
static int idle_count;
static int poll_fd;
static struct sockaddr_in origin_address;
static char buffer[BUFFER_BYTES + 1];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int fd, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  if (epoll_ctl(poll_fd, operation, fd, &event) < 0) die("epoll_ctl");
}

/* A side is read while its peer takes what it is sent, and written to while something is unsent. */
static void update(int fd) {
  if (fd == NONE) return;
  const struct side *side = &sides[fd];
  bool peer_is_full = side->peer != NONE && sides[side->peer].unsent_bytes > 0;
  watch(fd, EPOLL_CTL_MOD, (peer_is_full ? 0 : EPOLLIN) | (side->unsent_bytes > 0 ? EPOLLOUT : 0));
}

/* Takes a new socket in; false when the table has no place for it. */
static bool admit(int fd, bool is_origin) {
  if (fd >= DESCRIPTORS_MAX) {
    close(fd);
    return false;
  }
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sides[fd] = (struct side){.open = true, .is_origin = is_origin, .peer = NONE};
  watch(fd, EPOLL_CTL_ADD, EPOLLIN);
  return true;
}

static void shut(int fd) {
  struct side *side = &sides[fd];
  if (!side->open) return;
  int peer = side->peer;
  if (side->is_origin && peer == NONE) {
    for (int i = 0; i < idle_count; i++) {
      if (idle[i] == fd) {
        idle[i] = idle[--idle_count];
        break;
      }
    }
  }
  free(side->unsent);
  *side = (struct side){.peer = NONE};
  close(fd);
  if (peer != NONE) {
    sides[peer].peer = NONE;
    shut(peer);
  }
}

static int connect_origin(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return NONE;
  if (connect(fd, (struct sockaddr *)&origin_address, sizeof origin_address) < 0 && errno != EINPROGRESS) {
    close(fd);
    return NONE;
  }
  return admit(fd, true) ? fd : NONE;
}

/* Sends, and keeps what the socket does not take; a socket that is still connecting takes nothing. */
static void send_all(int fd, const char *bytes, size_t count) {
  struct side *side = &sides[fd];
  if (side->unsent_bytes == 0) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent == (ssize_t)count) return;
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) {
      shut(fd);
      return;
    }
    if (sent > 0) {
      bytes += sent;
      count -= (size_t)sent;
    }
  }
  char *grown = realloc(side->unsent, side->unsent_bytes + count);
  if (grown == NULL) die("realloc");
  memcpy(grown + side->unsent_bytes, bytes, count);
  side->unsent = grown;
  side->unsent_bytes += count;
  update(fd);
  update(side->peer);
}

static void flush_unsent(int fd) {
  struct side *side = &sides[fd];
  ssize_t sent = send(fd, side->unsent, side->unsent_bytes, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) shut(fd);
    return;
  }
  side->unsent_bytes -= (size_t)sent;
  memmove(side->unsent, side->unsent + sent, side->unsent_bytes);
  if (side->unsent_bytes > 0) return;
  free(side->unsent);
  side->unsent = NULL;
  update(fd);
  update(side->peer);
}

/* How long the whole answer is, of which the buffer holds the first bytes. */
static long long answer_bytes(size_t received) {
  static const char name[] = "\r\nContent-Length:";
  char *end = memmem(buffer, received, "\r\n\r\n", 4);
  if (end == NULL) return (long long)received;
  *end = '\0';
  char *field = strcasestr(buffer, name);
  *end = '\r';
  long long body = field == NULL ? 0 : atoll(field + sizeof name - 1);
  return (end + 4 - buffer) + body;
}

static void relay_request(int client, size_t received) {
  int origin = sides[client].peer;
  if (origin == NONE) {
    origin = idle_count > 0 ? idle[--idle_count] : connect_origin();
    if (origin == NONE) {
      shut(client);
      return;
    }
    sides[client].peer = origin;
    sides[origin].peer = client;
    sides[origin].answer_left = -1;
  }
  send_all(origin, buffer, received);
}

static void relay_answer(int origin, size_t received) {
  struct side *side = &sides[origin];
  int client = side->peer;
  if (client == NONE) {  /* nobody asked for it */
    shut(origin);
    return;
  }
  if (side->answer_left < 0) side->answer_left = answer_bytes(received);
  side->answer_left -= (long long)received;
  bool over = side->answer_left <= 0;
  send_all(client, buffer, received);
  if (!over || !side->open) return;
  sides[client].peer = NONE;
  side->peer = NONE;
  if (sides[client].unsent_bytes > 0) update(origin);
  idle[idle_count++] = origin;
}

static void accept_all(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) admit(fd, false);
}

static void read_side(int fd) {
  ssize_t received = recv(fd, buffer, BUFFER_BYTES, 0);
  if (received > 0) {
    if (sides[fd].is_origin) relay_answer(fd, (size_t)received);
    else relay_request(fd, (size_t)received);
  } else if (received == 0 || (errno != EAGAIN && errno != EINTR)) {
    shut(fd);
  }
}

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/* The processes beside this one. */
static void fork_others(int others) {
  pid_t first = getpid();
  for (int i = 0; i < others; i++) {
    pid_t forked = fork();
    if (forked < 0) die("fork");
    if (forked > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != first) exit(0);  /* it ended before it could be seen to */
    return;
  }
}

static int listen_on(struct sockaddr_in address) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) die("socket");
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  if (listen(listener, BACKLOG) < 0) die("listen");
  return listener;
}

int main(int count, char **arguments) {
  int workers = count == 4 ? atoi(arguments[3]) : 1;
  if (count < 3 || count > 4 || atoi(arguments[1]) <= 0 || atoi(arguments[2]) <= 0 || workers <= 0) {
    fprintf(stderr, "usage: floor PORT ORIGIN_PORT [WORKERS]\n");
    return 2;
  }
  origin_address = loopback(arguments[2]);
  fork_others(workers - 1);
  int listener = listen_on(loopback(arguments[1]));
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (poll_fd < 0) die("epoll_create1");
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poll_fd, events, EVENTS_MAX, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(listener);
        continue;
      }
      if (!sides[fd].open) continue;  /* shut by an earlier event of this batch */
      if (sides[fd].unsent_bytes > 0 && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) flush_unsent(fd);
      if (sides[fd].open && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) read_side(fd);
    }
  }
}
