// recv and send of the C library are points at which a thread can be cancelled, which costs four atomic operations a call where there
// is more than one thread. Nobody cancels these. As with those, errno tells what failed.
#pragma once
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace headgate {

inline ssize_t receive_now(int fd, void* bytes, size_t length, int flags = 0) {
  return syscall(SYS_recvfrom, fd, bytes, length, flags, nullptr, nullptr);
}

inline ssize_t send_now(int fd, const void* bytes, size_t length, int flags) {
  return syscall(SYS_sendto, fd, bytes, length, flags, nullptr, 0);
}

}  // namespace headgate
