#include "loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "sockets.h"
#include "system_calls.h"

namespace headgate {

namespace {

// There may be more behind what one read has given, or an end.
constexpr uint32_t kMore = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
// A turn takes so many from each side: what the first of them waits for the last is bounded by that.
constexpr int kReadyMax = 128;
// Of accepted sockets so many, where more dialled ones are ready than a turn takes: fewer requests are begun than answers are taken,
// until what is under way is no more than the origins hold. What thousands of clients ask at once then waits where it costs nothing,
// in the kernel, and not in memory with a connection to an origin each.
constexpr int kReadyBesideMany = kReadyMax * 3 / 4;
// What is read from one socket in a turn: nobody is starved by a fast sender, and no call is wasted on a small piece.
constexpr int32_t kReadBytesMax = 64 * 1024;
// With less room than this in the slab, JavaScript runs first.
constexpr int32_t kReadRoomMin = 16 * 1024;
// Connections accepted from one listener in a turn.
constexpr int kAcceptsMax = 64;
// One socket makes at most this many events in a turn.
constexpr int32_t kEventsOfSocketMax = kAcceptsMax + 8;
// What a turn moves between sockets and files, or other sockets, shared by those of a set that are ready: the fewer they are, the
// longer one goes on before it is asked who else is. And what each may move, however many they are; a file that JavaScript begins
// moves no more than that at once, since nobody knows how many more it will begin.
constexpr int64_t kTransferBytesMax = 4 << 20;
constexpr int64_t kTransferBytesMin = 1 << 20;

int socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

}  // namespace

Loop::Loop(Deliver deliver, void* context)
    : deliver_(deliver),
      context_(context),
      receive_(kReceiveBytes),
      send_(kSendBytes),
      commands_(size_t{kCommandsMax} * kCommandInts * sizeof(int32_t)) {}

Loop::~Loop() { close_all(); }

int Loop::open(int descriptors_kept, int descriptors_beside_clients, int others) {
  limit_.keep(descriptors_kept, descriptors_beside_clients);
  for (const Mapping* mapping : {&receive_, &send_, &commands_}) {
    if (mapping->data() == nullptr) return -ENOMEM;
  }
  if (!slots_.is_there() || !events_.is_there()) return -ENOMEM;
  const int error = interest_.open(others);
  is_open_ = error == 0;
  return error;
}

void Loop::close_all() {
  for (int32_t index = 0; index < slots_.known(); index++) {
    const State state = slots_[index].state;
    if (state == State::kListening) drop_listener(index);
    else if (state == State::kConnecting || state == State::kOpen) connections_.close(index, false);
  }
  connections_.close_pipes();
  interest_.close();
  is_open_ = false;
}

int32_t Loop::add(int fd, State state, Side side) {
  const int32_t index = slots_.take(fd, state, side);
  if (index < 0) return index;
  const int error = interest_.add(index);
  if (error == 0) return index;
  slots_.put_back(index);
  return error;
}

void Loop::drop_listener(int32_t index) {
  const Slot& slot = slots_[index];
  // The socket may have another descriptor, which would keep it in the set.
  interest_.remove(index);
  if (slot.owned) ::close(slot.fd);
  slots_.retire(index);
}

// ------------------------------------------------------------------------------------------------------------------- turns

void Loop::deliver() {
  interest_.settle();
  if (events_.count() > 0) {
    deliver_(context_, events_.hand_over());
    events_.fill();
  }
  used_ = 0;
}

bool Loop::turn() {
  if (!is_open_ || in_turn_) return false;
  in_turn_ = true;
  used_ = 0;
  events_.fill();
  events_.collect();
  const bool are_many = read_ready(Side::kDialled, kReadyMax) >= kReadyMax;
  read_ready(Side::kAccepted, are_many ? kReadyBesideMany : kReadyMax);
  deliver();
  // More than the record holds.
  events_.collect();
  deliver();
  events_.hand_over();
  in_turn_ = false;
  if (!events_.any_waits()) slots_.reuse_closed();
  return is_open_ && interest_.any_ready();
}

// How many were ready, of `at_most`.
int Loop::read_ready(Side side, int at_most) {
  const std::span<const int32_t> ready = interest_.take(side, at_most);
  const auto count = static_cast<int>(ready.size());
  const int64_t budget = std::max(kTransferBytesMin, kTransferBytesMax / std::max(count, 1));
  for (const int32_t index : ready) {
    if (kReceiveBytes - used_ < kReadRoomMin || events_.count() > kEventsMax - kEventsOfSocketMax) deliver();
    // JavaScript may close everything between two of them.
    if (!is_open_) break;
    // It may be another one's number by now.
    if (const uint32_t told = std::exchange(slots_[index].told, 0); told != 0) handle(index, told, budget);
  }
  return count;
}

void Loop::handle(int32_t index, uint32_t ready, int64_t budget) {
  Slot& slot = slots_[index];
  switch (slot.state) {
    case State::kListening:
      return accept_from(index);
    case State::kConnecting:
      return finish_connect(index);
    case State::kOpen:
      break;
    default:
      return;
  }
  if ((ready & EPOLLOUT) != 0) {
    // A unix socket tells whenever its peer has read something.
    if (ready == EPOLLOUT && !slot.is_sending() && slot.incoming == nullptr) {
      slot.blocks = false;
      return interest_.touch(index);
    }
    if (!slot.queue.empty()) connections_.flush(index, budget);
    if (slot.state == State::kOpen && slot.queue.empty() && slot.incoming != nullptr) connections_.step(slot.incoming, budget);
  }
  if ((ready & EPOLLPRI) != 0) slot.urgent = true;
  if (slot.state != State::kOpen || (ready & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  if (slot.paused || slot.read_ended || slots_.is_blocked(slot)) silent_failure(index, ready);
  // What is read must be told while the slab holds it: not when events wait that the record had no room for.
  else if (events_.any_waits()) interest_.ask_again(index);
  else if (slot.outgoing != nullptr) connections_.step(slot.outgoing, budget, (ready & kMore) == 0);
  else read_from(index, ready);
}

void Loop::accept_from(int32_t index) {
  Slot& listener = slots_[index];
  for (int accepts = 0; accepts < kAcceptsMax && !listener.suspended; accepts++) {
    sockaddr_storage address;
    memset(&address, 0, sizeof address);
    socklen_t length = sizeof address;
    int fd = -1;
    int error = EMFILE;
    if (limit_.has_room(listener.fd)) {
      fd = accept4(listener.fd, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      error = errno;
    }
    if (fd >= 0) {
      if (listener.has_early) take_options(listener.fd, fd);
      const int32_t slot = limit_.admits_client(fd) ? add(fd, State::kOpen, Side::kAccepted) : -EMFILE;
      if (slot >= 0) {
        char* text = receive() + used_;
        auto used = static_cast<int32_t>(format_address(address, text, kAddressTextMax));
        if (listener.wildcard) {
          text[used++] = ' ';
          used += static_cast<int32_t>(own_address(fd, text + used, kAddressTextMax));
        }
        events_.emit(kAccepted, slot, used_, used | index << 8);
        used_ += used;
        continue;
      }
      ::close(fd);
      error = -slot;
    } else {
      if (error == EAGAIN) {
        listener.has_early = false;
        return;
      }
      // A client that has gone again, or the network's trouble with one (accept(2), "Error handling").
      if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM && error != EINVAL && error != EBADF)
        continue;
    }
    // It would be ready in every turn from now on, and nothing could be done about it.
    listener.suspended = true;
    interest_.touch(index);
    events_.emit(kAcceptFailed, index, error, 0);
  }
}

void Loop::finish_connect(int32_t index) {
  Slot& slot = slots_[index];
  int error = socket_error(slot.fd);
  if (error != 0) return connections_.fail(index, error);
  slot.state = State::kOpen;
  interest_.touch(index);
  const auto length = static_cast<int32_t>(own_address(slot.fd, receive() + used_, kAddressTextMax));
  events_.emit(kConnected, index, used_, length);
  used_ += length;
}

void Loop::read_from(int32_t index, uint32_t ready) {
  Slot& slot = slots_[index];
  int32_t size = std::min(kReadBytesMax, kReceiveBytes - used_);
  ssize_t length = receive_now(slot.fd, receive() + used_, static_cast<size_t>(size));
  if (length > 0) {
    events_.emit(kRead, index, used_, static_cast<int32_t>(length));
    used_ += static_cast<int32_t>(length);
    if (length == size || (ready & kMore) != 0 || slot.error != 0) connections_.read_on(index);
  } else if (length == 0) {
    if (slot.error != 0) return connections_.fail(index, slot.error);
    slot.read_ended = true;
    interest_.touch(index);
    events_.emit(kEnd, index, 0, 0);
    if (slot.finished) connections_.fail(index, 0);
  } else if (errno == EINTR) {
    interest_.ask_again(index);
  } else if (errno != EAGAIN) {
    connections_.fail(index, errno);
  }
}

// Nobody reads it now. It may be broken all the same, or over in both directions.
void Loop::silent_failure(int32_t index, uint32_t ready) {
  interest_.ask_again(index);
  if ((ready & (EPOLLHUP | EPOLLERR)) == 0) return;
  Slot& slot = slots_[index];
  if (slot.error == 0) slot.error = socket_error(slot.fd);
  // Over in both directions: a unix peer has closed, which is no more than its end until somebody writes to it.
  if (slot.error == 0) return;
  // What a server said before may be an answer: what is left to be read, or handed on, goes first, unless somebody waits for the
  // peer. A client that is gone cannot be answered, and whatever it asked for is to end at once.
  int unread = 0;
  ioctl(slot.fd, FIONREAD, &unread);
  const bool holds = slot.outgoing != nullptr && slot.outgoing->in_pipe > 0;
  const bool tells_now = slot.side == Side::kAccepted || slot.read_ended || slot.is_sending();
  if (tells_now || (unread == 0 && !holds)) connections_.fail(index, slot.error);
}

// ---------------------------------------------------------------------------------------------------------------- commands

int32_t Loop::submit(int32_t count, bool collect) {
  const int32_t* record = commands();
  count = std::clamp(count, 0, kCommandsMax);
  for (int32_t next = 0; next < count;) {
    const int32_t* command = record + next * kCommandInts;
    const int32_t index = command[1];
    const int32_t opcode = command[0] & 0xff;
    // Closed meanwhile: JavaScript will know when it reads the event.
    if (!slots_.is_open(index)) {
      if (opcode == kDestroy && slots_.is(State::kConnecting, index)) connections_.close(index, false);
      next++;
      continue;
    }
    Slot& slot = slots_[index];
    switch (opcode) {
      case kWrite:
      case kForward:
        next = write_commands(index, next, count);
        continue;
      case kFinish:
        connections_.finish(index, command[2] == 1);
        break;
      case kDestroy:
        connections_.close(index, command[2] == 1);
        break;
      case kPause:
        slot.paused = true;
        interest_.touch(index);
        break;
      case kResume:
        slot.paused = false;
        interest_.touch(index);
        break;
      case kWatch:
        connections_.watch(index);
        break;
      default:
        break;
    }
    next++;
  }
  interest_.settle();
  if (!collect) return events_.waiting();
  events_.collect();
  const int32_t collected = events_.hand_over();
  if (collected == 0 && !in_turn_) slots_.reuse_closed();
  return collected;
}

// Neighbouring writes to one connection leave in one call.
int32_t Loop::write_commands(int32_t index, int32_t first, int32_t count) {
  constexpr int32_t kPartsMax = 64;
  iovec parts[kPartsMax];
  const int32_t* record = commands();
  int32_t used = 0;
  bool watch = false;
  bool more = false;
  int32_t next = first;
  for (; next < count && used < kPartsMax; next++) {
    const int32_t* command = record + next * kCommandInts;
    const int32_t opcode = command[0] & 0xff;
    if (next > first && (command[1] != index || (opcode != kWrite && opcode != kForward))) break;
    const int32_t bytes = opcode == kWrite ? kSendBytes : kReceiveBytes;
    const int32_t offset = command[2];
    const int32_t length = command[3];
    if (offset < 0 || length <= 0 || offset > bytes || length > bytes - offset) continue;
    parts[used].iov_base = (opcode == kWrite ? send() : receive()) + offset;
    parts[used].iov_len = static_cast<size_t>(length);
    used++;
    watch = watch || (command[0] >> 8 & kFlagWatch) != 0;
    more = (command[0] >> 8 & kFlagMore) != 0;
  }
  // The FIN behind them leaves with the last of them.
  if (next < count && record[next * kCommandInts] == kFinish && record[next * kCommandInts + 1] == index) more = true;
  if (used > 0) connections_.write(index, parts, used, more);
  if (watch && slots_.is_open(index)) connections_.watch(index);
  return next;
}

// --------------------------------------------------------------------------------------------------- what JavaScript asks

int32_t Loop::listen(int fd, bool owned, int keep_alive_seconds) {
  sockaddr_storage address;
  memset(&address, 0, sizeof address);
  socklen_t length = sizeof address;
  // What is not a listening socket is not closed either: it is somebody else's.
  if (!is_listening(fd)) return -EINVAL;
  int error = getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ? errno : 0;
  // One that came from elsewhere may block, and would block everything.
  const int flags = fcntl(fd, F_GETFL);
  if (error == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) error = errno;
  int32_t index = error != 0 ? -error : add(fd, State::kListening, Side::kAccepted);
  if (index < 0) return index;
  Slot& slot = slots_[index];
  slot.owned = owned;
  char text[kAddressTextMax];
  format_address(address, text, sizeof text);
  slot.wildcard = strncmp(text, "0.0.0.0 ", 8) == 0 || strncmp(text, ":: ", 3) == 0;
  if (address.ss_family != AF_UNIX) {
    slot.has_early = true;
    set_no_delay(fd);
    if (keep_alive_seconds > 0) set_keep_alive(fd, keep_alive_seconds);
  }
  return index;
}

int32_t Loop::close_listener(int32_t index) {
  if (!slots_.is(State::kListening, index)) return -EBADF;
  drop_listener(index);
  return 0;
}

int32_t Loop::resume_listener(int32_t index) {
  if (!slots_.is(State::kListening, index)) return -EBADF;
  slots_[index].suspended = false;
  interest_.touch(index);
  interest_.settle();
  return 0;
}

int32_t Loop::has_waiting(int32_t index) {
  if (!slots_.is(State::kListening, index)) return -EBADF;
  pollfd listener{slots_[index].fd, POLLIN, 0};
  const int ready = poll(&listener, 1, 0);
  return ready < 0 ? -errno : ready;
}

int32_t Loop::connect(int fd, int keep_alive_seconds) {
  if (keep_alive_seconds > 0) set_keep_alive(fd, keep_alive_seconds);
  int32_t index = add(fd, State::kConnecting, Side::kDialled);
  if (index < 0) ::close(fd);
  return index;
}

int32_t Loop::send_file(int32_t index, int file, int32_t id, int64_t offset, int64_t length) {
  if (!slots_.is_open(index)) return -EBADF;
  const int error = connections_.send_file(index, file, id, offset, length, kTransferBytesMin);
  if (error != 0) return error;
  interest_.settle();
  return events_.waiting();
}

int32_t Loop::release(int32_t index) { return slots_.is_open(index) ? connections_.release(index) : -EBADF; }

int32_t Loop::splice(int32_t from, int32_t to, int64_t bytes) {
  if (!slots_.is_open(from) || !slots_.is_open(to) || from == to) return -EBADF;
  const int error = connections_.splice(from, to, bytes);
  if (error == 0) interest_.settle();
  return error;
}

}  // namespace headgate
