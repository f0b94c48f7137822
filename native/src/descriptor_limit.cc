#include "descriptor_limit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace headgate {

namespace {

// So many below the end it is looked before somebody is accepted: other threads, and dials, take descriptors meanwhile.
constexpr int kNear = 64;
// Of few descriptors this share is left to others, and to all but clients. The same is in src/io/descriptor-limit.ts.
constexpr int kKeptShare = 8;

}  // namespace

void DescriptorLimit::keep(int descriptors, int beside_clients) {
  kept_ = descriptors;
  beside_clients_ = beside_clients;
  read();
}

void DescriptorLimit::read() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const int most = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
  end_ = most - std::min(kept_, most / kKeptShare);
  clients_end_ = end_ - std::min(beside_clients_, most / kKeptShare);
}

bool DescriptorLimit::admits(int fd) {
  // It may have been raised meanwhile.
  if (fd >= end_) read();
  return fd < end_;
}

bool DescriptorLimit::admits_client(int fd) {
  if (fd >= clients_end_) read();
  is_near_ = fd >= clients_end_ - kNear;
  return fd < clients_end_;
}

bool DescriptorLimit::has_room(int fd) {
  if (!is_near_) return true;
  const int next = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (next < 0) return false;
  ::close(next);
  return admits_client(next);
}

}  // namespace headgate
