#include "interest.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace headgate {

namespace {

// What an open connection is watched for while it is read. EPOLLPRI: there is an urgent mark (RFC 6093), at which one
// read ends though more has arrived.
constexpr uint32_t kReadable = EPOLLIN | EPOLLPRI | EPOLLRDHUP;

// In the place of a slot.
constexpr uint32_t kAcceptedSet = UINT32_MAX;
constexpr uint32_t kOthersSet = UINT32_MAX - 1;

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
  for (int& set : sets_) {
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return -errno;
  }
  waits_ = others >= 0;
  if (!waits_) return 0;
  // An answer is found by the call that waits, a request by one more; and a turn knows how many answers there are before it
  // asks for requests.
  const int error = add_to(set_of(Side::kDialled), set_of(Side::kAccepted), kAcceptedSet, EPOLLIN);
  return error != 0 ? error : add_to(set_of(Side::kDialled), others, kOthersSet, EPOLLIN);
}

void Interest::close() {
  for (int& set : sets_) {
    if (set >= 0) ::close(set);
    set = -1;
  }
}

uint32_t Interest::wait(int timeout) {
  found_ = 0;
  const int count = epoll_wait(set_of(Side::kDialled), ready_, kReadyMax + 2, timeout);
  // The time is up, or there was a signal.
  if (count <= 0) return kOthers;
  uint32_t wanted = 0;
  for (int at = 0; at < count; at++) {
    const uint32_t slot = ready_[at].data.u32;
    if (slot == kAcceptedSet) wanted |= bit_of(Side::kAccepted);
    else if (slot == kOthersSet) wanted |= kOthers;
    else ready_[found_++] = ready_[at];
  }
  if (found_ > 0) wanted |= bit_of(Side::kDialled);
  // They may stand behind more of these.
  if (count == kReadyMax + 2) wanted |= bit_of(Side::kAccepted) | kOthers;
  return wanted;
}

std::span<const epoll_event> Interest::ready(Side side, int max) {
  if (waits_ && side == Side::kDialled) return {ready_, std::exchange(found_, 0)};
  const int count = epoll_wait(set_of(side), ready_, max, 0);
  return {ready_, static_cast<size_t>(std::max(count, 0))};
}

int Interest::add(int32_t index) {
  Slot& slot = slots_[index];
  slot.interest = wanted_of(slot);
  return add_to(set_of(slot.side), slot.fd, static_cast<uint32_t>(index), slot.interest);
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
  epoll_event event = event_of(static_cast<uint32_t>(index), wanted);
  if (epoll_ctl(set_of(slot.side), EPOLL_CTL_MOD, slot.fd, &event) != 0) return;
  if (asks) slot.again = false;
  slot.interest = wanted;
}

}  // namespace headgate
