// Sockets before they are connections: addresses, listening, connecting. Every function gives a descriptor, or a negative errno.
#pragma once
#include <sys/socket.h>
#include <cstddef>
#include <cstdint>

#include "descriptor_limit.h"

namespace headgate {

struct BindOptions {
  int backlog = 0;
  bool reuse_port = false;
  // An IPv6 socket also takes IPv4.
  bool dual_stack = false;
};

// "IP PORT", the address at most 45 characters.
constexpr size_t kAddressTextMax = 64;
// What the kernel takes as a path, or as an address with its zone, is shorter.
constexpr size_t kPathMax = 256;

// An IPv4 or IPv6 address as text, without brackets; "fe80::1%eth0" has its zone.
bool parse_address(const char* text, uint16_t port, sockaddr_storage* address, socklen_t* length);
// "IP PORT" into `text`; IPv4 written as IPv6 is given as IPv4, zones are left out. Of a unix socket: " 0". The length.
size_t format_address(const sockaddr_storage& address, char* text, size_t bytes);
// Our own end of a socket, in the same form. 0: it is no socket.
size_t own_address(int fd, char* text, size_t bytes);

// Where a redirected connection had meant to go, as the kernel's connection tracking remembers it (SO_ORIGINAL_DST), in the form
// of format_address. 0: nobody redirected it, which is when that is our own end, or there is nothing to be known.
size_t original_destination(int fd, char* text, size_t bytes);

bool is_listening(int fd);
int listen_tcp(const char* host, uint16_t port, const BindOptions& options);
int listen_unix(const char* path, size_t length, const BindOptions& options);
// The connection is being made, or has been: the descriptor becomes writable either way.
int connect_tcp(const char* host, uint16_t port, DescriptorLimit& limit);
int connect_unix(const char* path, size_t length, DescriptorLimit& limit);
// Small segments leave at once; accepted sockets inherit both options from the listening one.
void set_no_delay(int fd);
void set_keep_alive(int fd, int idle_seconds);
// For a socket that was made before its listening one had them.
void take_options(int listener, int fd);

}  // namespace headgate
