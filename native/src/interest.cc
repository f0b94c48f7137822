#include "interest.h"

#include <unistd.h>

#include <cerrno>

namespace headgate {

namespace {

// What an open connection is watched for while it is read. EPOLLPRI: there is an urgent mark (RFC 6093), at which one
// read ends though more has arrived.
constexpr uint32_t kReadable = EPOLLIN | EPOLLPRI | EPOLLRDHUP;

epoll_event event_of(int32_t slot, uint32_t wanted) {
  epoll_event event{};
  event.events = wanted;
  event.data.u32 = static_cast<uint32_t>(slot);
  return event;
}

}  // namespace

int Interest::open() {
  for (int& set : sets_) {
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return -errno;
  }
  return 0;
}

void Interest::close() {
  for (int& set : sets_) {
    if (set >= 0) ::close(set);
    set = -1;
  }
}

int Interest::add(int32_t index) {
  Slot& slot = slots_[index];
  slot.interest = wanted_of(slot);
  epoll_event event = event_of(index, slot.interest);
  return epoll_ctl(set_of(slot.side), EPOLL_CTL_ADD, slot.fd, &event) == 0 ? 0 : -errno;
}

int Interest::remove(int32_t index) {
  const Slot& slot = slots_[index];
  return epoll_ctl(set_of(slot.side), EPOLL_CTL_DEL, slot.fd, nullptr) == 0 ? 0 : -errno;
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
      return EPOLLOUT;
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
  epoll_event event = event_of(index, wanted);
  if (epoll_ctl(set_of(slot.side), EPOLL_CTL_MOD, slot.fd, &event) != 0) return;
  if (asks) slot.again = false;
  slot.interest = wanted;
}

}  // namespace headgate
