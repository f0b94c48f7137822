#include "sockets.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace headgate {

namespace {

// Probes after the first silence, and how many: what libuv uses as well.
constexpr int kKeepAliveIntervalSeconds = 1;
constexpr int kKeepAliveProbes = 10;

// SO_ORIGINAL_DST of linux/netfilter_ipv4.h and IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h, which cannot be
// included beside netinet/in.h: they have the same number.
constexpr int kOriginalDestination = 80;

// Always built in, and permitted to everybody (tcp_allowed_congestion_control).
constexpr char kLossBased[] = "reno";

bool is_loopback(const sockaddr_storage& address) {
  constexpr uint8_t kLoopbackNet = 127;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(v4.sin_addr.s_addr) >> 24 == kLoopbackNet;
  }
  if (address.ss_family != AF_INET6) return false;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ||
         (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == kLoopbackNet);
}

// Between two sockets of one machine there is no path to be measured. What a host has for the others as its default may pace what it
// sends (BBR), which on the loopback costs 2.7 times the processor time for half the throughput. To be called before the
// connection exists: a socket that has paced once goes on. Where it fails, the default remains.
void avoid_pacing(int fd, const sockaddr_storage& address) {
  if (is_loopback(address)) setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kLossBased, sizeof kLossBased - 1);
}

int fail_with(int fd, int error) {
  close(fd);
  return -error;
}

bool unix_address(const char* path, size_t length, sockaddr_un* address, socklen_t* address_length) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (length == 0 || length >= sizeof address->sun_path || memchr(path, 0, length) != nullptr) return false;
  memcpy(address->sun_path, path, length);
  *address_length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + 1);
  return true;
}

int begin_connect(int fd, const sockaddr* address, socklen_t length) {
  if (connect(fd, address, length) != 0 && errno != EINPROGRESS) return fail_with(fd, errno);
  return fd;
}

// At most five digits; where it ends.
char* put_number(char* text, uint16_t number) { return std::to_chars(text, text + 5, number).ptr; }

char* put_ipv4(char* text, const uint8_t* octets) {
  for (int index = 0; index < 4; index++) {
    if (index > 0) *text++ = '.';
    text = put_number(text, octets[index]);
  }
  return text;
}

}  // namespace

bool parse_address(const char* text, uint16_t port, sockaddr_storage* address, socklen_t* length) {
  memset(address, 0, sizeof *address);
  auto* v4 = reinterpret_cast<sockaddr_in*>(address);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    *length = sizeof *v4;
    return true;
  }
  char host[INET6_ADDRSTRLEN];
  const char* zone = strchr(text, '%');
  size_t host_length = zone == nullptr ? strlen(text) : static_cast<size_t>(zone - text);
  if (host_length >= sizeof host) return false;
  memcpy(host, text, host_length);
  host[host_length] = 0;
  auto* v6 = reinterpret_cast<sockaddr_in6*>(address);
  if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  if (zone != nullptr) {
    v6->sin6_scope_id = if_nametoindex(zone + 1);
    if (v6->sin6_scope_id == 0) v6->sin6_scope_id = static_cast<uint32_t>(strtoul(zone + 1, nullptr, 10));
  }
  *length = sizeof *v6;
  return true;
}

// Called for every connection: printf and inet_ntop, which is made of it, take half a microsecond for an IPv4 address.
size_t format_address(const sockaddr_storage& address, char* text, size_t bytes) {
  char whole[kAddressTextMax] = "";
  char* end = whole;
  uint16_t port = 0;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    end = put_ipv4(end, reinterpret_cast<const uint8_t*>(&v4.sin_addr));
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) end = put_ipv4(end, &v6.sin6_addr.s6_addr[12]);
    else if (inet_ntop(AF_INET6, &v6.sin6_addr, whole, INET6_ADDRSTRLEN) != nullptr) end += strlen(whole);
    port = ntohs(v6.sin6_port);
  }
  *end++ = ' ';
  end = put_number(end, port);
  const size_t length = std::min(static_cast<size_t>(end - whole), bytes - 1);
  memcpy(text, whole, length);
  text[length] = 0;
  return length;
}

size_t own_address(int fd, char* text, size_t bytes) {
  sockaddr_storage address;
  memset(&address, 0, sizeof address);
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return format_address(address, text, bytes);
}

size_t original_destination(int fd, char* text, size_t bytes) {
  sockaddr_storage own;
  sockaddr_storage original;
  memset(&own, 0, sizeof own);
  memset(&original, 0, sizeof original);
  socklen_t own_length = sizeof own;
  socklen_t length = sizeof original;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_length) != 0) return 0;
  // A socket of both families that a client of IPv4 has reached is tracked as one of IPv4.
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(own);
  const bool is_v6 = own.ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
  if (!is_v6 && own.ss_family != AF_INET && own.ss_family != AF_INET6) return 0;
  const int level = is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (getsockopt(fd, level, kOriginalDestination, &original, &length) != 0) return 0;
  char own_text[kAddressTextMax];
  format_address(own, own_text, sizeof own_text);
  const size_t used = format_address(original, text, bytes);
  return strcmp(own_text, text) == 0 ? 0 : used;
}

bool is_listening(int fd) {
  int listening = 0;
  socklen_t length = sizeof listening;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening == 1;
}

int listen_tcp(const char* host, uint16_t port, const BindOptions& options) {
  sockaddr_storage address;
  socklen_t length;
  if (!parse_address(host, port, &address, &length)) return -EINVAL;
  int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int one = 1;
  int v6_only = options.dual_stack ? 0 : 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) return fail_with(fd, errno);
  if (address.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0)
    return fail_with(fd, errno);
  if (options.reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
    return fail_with(fd, errno);
  avoid_pacing(fd, address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) return fail_with(fd, errno);
  if (listen(fd, options.backlog) != 0) return fail_with(fd, errno);
  return fd;
}

int listen_unix(const char* path, size_t length, const BindOptions& options) {
  sockaddr_un address;
  socklen_t address_length;
  if (!unix_address(path, length, &address, &address_length)) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), address_length) != 0) return fail_with(fd, errno);
  if (listen(fd, options.backlog) != 0) return fail_with(fd, errno);
  return fd;
}

int connect_tcp(const char* host, uint16_t port, DescriptorLimit& limit) {
  sockaddr_storage address;
  socklen_t length;
  if (!parse_address(host, port, &address, &length)) return -EINVAL;
  int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (!limit.admits(fd)) return fail_with(fd, EMFILE);
  set_no_delay(fd);
  avoid_pacing(fd, address);
  return begin_connect(fd, reinterpret_cast<sockaddr*>(&address), length);
}

int connect_unix(const char* path, size_t length, DescriptorLimit& limit) {
  sockaddr_un address;
  socklen_t address_length;
  if (!unix_address(path, length, &address, &address_length)) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (!limit.admits(fd)) return fail_with(fd, EMFILE);
  return begin_connect(fd, reinterpret_cast<sockaddr*>(&address), address_length);
}

void set_no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void take_options(int listener, int fd) {
  constexpr int kOptions[][2] = {{IPPROTO_TCP, TCP_NODELAY},
                                 {SOL_SOCKET, SO_KEEPALIVE},
                                 {IPPROTO_TCP, TCP_KEEPIDLE},
                                 {IPPROTO_TCP, TCP_KEEPINTVL},
                                 {IPPROTO_TCP, TCP_KEEPCNT}};
  for (const auto& [level, name] : kOptions) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(listener, level, name, &value, &length) == 0) setsockopt(fd, level, name, &value, sizeof value);
  }
}

void set_keep_alive(int fd, int idle_seconds) {
  int one = 1;
  int interval = kKeepAliveIntervalSeconds;
  int probes = kKeepAliveProbes;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

}  // namespace headgate
