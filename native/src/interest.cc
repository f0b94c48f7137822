#include "interest.h"

#include <unistd.h>

#include <cerrno>

namespace headgate {

namespace {

// What an open connection is watched for while it is read. EPOLLPRI: there is an urgent mark (RFC 6093), at which one
// read ends though more has arrived. (So does one at each message of a unix socket that has descriptors with it; HTTP has no use for
// those, and whoever sends them waits in vain.)
constexpr uint32_t kReadable = EPOLLIN | EPOLLPRI | EPOLLRDHUP;

// In the place of a slot.
constexpr uint32_t kOthersSet = UINT32_MAX;

// So many the kernel tells of at once; and so often it is asked before the first have their turn: an answer that stands behind
// thousands of requests has its share all the same.
constexpr int kToldMax = 256;
constexpr int kLooksMax = 32;

epoll_event event_of(uint32_t slot, uint32_t wanted) {
  epoll_event event{};
  event.events = wanted;
  event.data.u32 = slot;
  return event;
}

int add_to(int set, int fd, uint32_t slot, uint32_t wanted) {
  epoll_event event = event_of(slot, wanted);
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

}  // namespace

int Interest::open(int others) {
  set_ = epoll_create1(EPOLL_CLOEXEC);
  if (set_ < 0) return -errno;
  return others < 0 ? 0 : add_to(set_, others, kOthersSet, EPOLLIN);
}

void Interest::close() {
  if (set_ >= 0) ::close(set_);
  set_ = -1;
}

uint32_t Interest::wait(int timeout) {
  epoll_event told[kToldMax];
  int count = epoll_wait(set_, told, kToldMax, any_ready() ? 0 : timeout);
  // The time is up, or there was a signal.
  if (count <= 0) return any_ready() ? kSockets : kOthers;
  uint32_t found = 0;
  for (int looks = 1;; looks++) {
    for (int at = 0; at < count; at++) {
      if (told[at].data.u32 == kOthersSet) found |= kOthers;
      else note(static_cast<int32_t>(told[at].data.u32), told[at].events);
    }
    if (count < kToldMax) break;
    if (looks == kLooksMax) {
      // They may stand behind more sockets.
      found |= kOthers;
      break;
    }
    count = epoll_wait(set_, told, kToldMax, 0);
  }
  return any_ready() ? found | kSockets : found;
}

void Interest::note(int32_t index, uint32_t told) {
  Slot& slot = slots_[index];
  if (slot.told == 0) queue_of(slot.side).push(index);
  slot.told |= told;
}

int Interest::add(int32_t index) {
  Slot& slot = slots_[index];
  slot.interest = wanted_of(slot);
  return add_to(set_, slot.fd, static_cast<uint32_t>(index), slot.interest);
}

int Interest::remove(int32_t index) {
  const Slot& slot = slots_[index];
  return epoll_ctl(set_, EPOLL_CTL_DEL, slot.fd, nullptr) == 0 ? 0 : -errno;
}

void Interest::settle() {
  for (int32_t index : dirty_) {
    slots_[index].dirty = false;
    update(index);
  }
  dirty_.clear();
}

uint32_t Interest::wanted_of(const Slot& slot) const {
  switch (slot.state) {
    case State::kListening:
      return slot.suspended ? 0u : uint32_t{EPOLLIN};
    case State::kConnecting:
      // Told once: those that wait for their turn are not told of again by every look.
      return uint32_t{EPOLLOUT} | EPOLLET;
    default:
      break;
  }
  uint32_t wanted = EPOLLET;
  if (!slot.paused && !slot.read_ended && !slots_.is_blocked(slot)) wanted |= kReadable;
  if (slot.blocks && slot.error == 0) wanted |= EPOLLOUT;
  return wanted;
}

void Interest::update(int32_t index) {
  Slot& slot = slots_[index];
  // It was touched, and closed behind that.
  if (slot.state == State::kFree || slot.state == State::kClosed) return;
  // Once it was needed it stays: edge-triggered, it costs nothing where everything is taken, and two calls are saved
  // wherever not everything is.
  slot.blocks = slot.blocks || slot.is_sending();
  const uint32_t wanted = wanted_of(slot);
  // Not where nothing is read and nothing waits to be sent: a connection that is over would be told of in every turn.
  const bool asks = slot.again && ((wanted & EPOLLIN) != 0 || ((wanted & EPOLLOUT) != 0 && slot.is_sending()));
  if (wanted == slot.interest && !asks) return;
  epoll_event event = event_of(static_cast<uint32_t>(index), wanted);
  if (epoll_ctl(set_, EPOLL_CTL_MOD, slot.fd, &event) != 0) return;
  if (asks) slot.again = false;
  slot.interest = wanted;
}

}  // namespace headgate
